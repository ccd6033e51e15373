"""Alerts: rules about traffic, looked at as flows come in, and whom to tell.

`rules` is what can be said, `windows` measures, `tracking` begins and ends alerts, `evaluator`
follows the flow log in the loader process, `messages` tells people, `store` keeps all of it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from appliance import (
    BackupPart,
    LogLoader,
    MetricsCollector,
    Page,
    Route,
    Setting,
    Settings,
    hookimpl,
)
from appliance.plugins.alerts.alert_settings import ALERT_SETTINGS, MOST_AN_HOUR, SEND_TO

if TYPE_CHECKING:
    import click


@hookimpl
def register_settings() -> list[Setting[object]]:
    """Return where messages go."""
    return ALERT_SETTINGS


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Return what looks at flows."""
    from appliance.plugins.alerts.evaluator import AlertLoader
    from appliance.plugins.alerts.messages import Messages, message_sender
    from appliance.plugins.alerts.trap_addresses import trap_receivers
    from appliance.plugins.alerts.traps import trap_sender
    from appliance.web.times import local_zone

    addresses, most = settings[SEND_TO.name], settings[MOST_AN_HOUR.name]
    traps = trap_sender(trap_receivers(addresses))
    zone = local_zone(settings["timezone"])
    sender = message_sender(addresses, settings)
    return [AlertLoader(settings, Messages(sender, zone, most, send_traps=traps))]


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/alerts`."""
    from appliance.plugins.alerts.routes import alert_routes

    return alert_routes()


@hookimpl
def register_pages() -> list[Page]:
    """Return the page Alerts of the console."""
    script = files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return [Page("Alerts", "alerts", script, order=55)]


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance alerts`."""
    from appliance.plugins.alerts.commands import alerts

    return [alerts]


@hookimpl
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return how many alerts are open."""
    from appliance.plugins.alerts.alert_metrics import AlertMetrics

    return [AlertMetrics(settings)]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save rules and alerts."""
    from appliance.plugins.alerts.store import alert_store
    from appliance.sql.copies import SqliteCopy

    return [SqliteCopy("alerts", alert_store(settings).path)]
