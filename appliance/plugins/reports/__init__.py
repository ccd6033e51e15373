"""Reports: what a day, week or month brought, what would be billed, and who gets it by mail.

`periods` says when, `billing` is the 95th percentile, `making` asks the query engine, `showing`
writes tables and CSV. `named_reports` is what can be asked for regularly, `report_store` keeps it,
`sending` makes and mails what is due in the loader process, `mails` writes the mails.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from appliance import (
    BackupPart,
    Check,
    FlowStore,
    LogLoader,
    MetricsCollector,
    Page,
    Route,
    Setting,
    Settings,
    hookimpl,
)
from appliance.plugins.reports.report_settings import REPORT_SETTINGS

if TYPE_CHECKING:
    import click


@hookimpl
def register_settings() -> list[Setting[object]]:
    """Return who the customers are, and how much is kept."""
    return REPORT_SETTINGS


@hookimpl
def register_loaders(settings: Settings, open_store: Callable[[], FlowStore]) -> list[LogLoader]:
    """Return what makes and sends the named reports."""
    from appliance.plugins.reports.report_loader import ReportLoader
    from appliance.plugins.reports.sending import ReportSender

    return [ReportLoader(ReportSender(settings, open_store))]


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/reports`."""
    from appliance.plugins.reports.named_routes import named_report_routes
    from appliance.plugins.reports.routes import report_routes

    return [*report_routes(), *named_report_routes()]


@hookimpl
def register_pages() -> list[Page]:
    """Return the page Reports of the console."""
    script = files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return [Page("Reports", "reports", script, order=57, open_to_bound_users=True)]


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance report`."""
    from appliance.plugins.reports.commands import report

    return [report]


@hookimpl
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return how reports went."""
    from appliance.plugins.reports.report_metrics import ReportMetrics

    return [ReportMetrics(settings)]


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save named reports, and what was kept of them."""
    from appliance.plugins.reports.report_store import report_store
    from appliance.sql.copies import SqliteCopy

    return [SqliteCopy("reports", report_store(settings).path)]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Look whether reports that go by mail can be sent."""
    from appliance.plugins.reports.report_checks import mail_findings

    return [lambda: mail_findings(settings)]
