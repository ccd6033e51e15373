"""Alerts: rules about traffic, looked at as flows come in, and whom to tell.

`rules` is what can be said, `windows` measures, `tracking` begins and ends alerts, `evaluator`
follows the flow log in the loader process, `messages` tells people, `store` keeps all of it.
Users who are bound to a filter have rules of their own: `user_rules` is whose they are,
`visible_flows` what they may see, `rule_sets` brings them to the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from appliance import (
    AccountStore,
    BackupPart,
    FlowStore,
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
def register_loaders(
    settings: Settings,
    open_store: Callable[[], FlowStore],
    open_accounts: Callable[[], AccountStore],
) -> list[LogLoader]:
    """Return what looks at flows."""
    from appliance.plugins.alerts.evaluator import AlertLoader
    from appliance.plugins.alerts.messages import Messages, message_sender
    from appliance.plugins.alerts.rule_sets import UserParts
    from appliance.plugins.alerts.trap_addresses import trap_receivers
    from appliance.plugins.alerts.traps import trap_sender
    from appliance.plugins.alerts.user_mails import UserMails
    from appliance.web.times import local_zone

    addresses, most = settings[SEND_TO.name], settings[MOST_AN_HOUR.name]
    traps = trap_sender(trap_receivers(addresses))
    zone = local_zone(settings["timezone"])
    sender = message_sender(addresses, settings)
    messages = Messages(sender, zone, most, send_traps=traps)
    users = UserParts(settings, open_store, open_accounts, UserMails(settings, zone))
    return [AlertLoader(settings, messages, users=users)]


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/alerts`, and those of users' own alerts."""
    from appliance.plugins.alerts.own_routes import own_alert_routes
    from appliance.plugins.alerts.routes import alert_routes
    from appliance.plugins.alerts.user_routes import user_alert_routes

    return [*alert_routes(), *own_alert_routes(), *user_alert_routes()]


@hookimpl
def register_pages() -> list[Page]:
    """Return the page Alerts of the console."""
    script = files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return [Page("Alerts", "alerts", script, order=55, open_to_bound_users=True)]


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
    """Save rules and alerts, those of users too."""
    from appliance.plugins.alerts.store import alert_store
    from appliance.plugins.alerts.user_backups import UserAlertsBackup
    from appliance.plugins.alerts.user_rules import users_folder
    from appliance.sql.copies import SqliteCopy

    return [
        SqliteCopy("alerts", alert_store(settings).path),
        UserAlertsBackup(users_folder(settings)),
    ]
