"""Reports: what a day, week or month brought, and what would be billed.

`periods` says when, `billing` is the 95th percentile, `making` asks the query engine, `showing`
writes tables and CSV.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from appliance import Page, Route, Setting, hookimpl
from appliance.plugins.reports.report_settings import REPORT_SETTINGS

if TYPE_CHECKING:
    import click


@hookimpl
def register_settings() -> list[Setting[object]]:
    """Return who the customers are."""
    return REPORT_SETTINGS


@hookimpl
def register_routes() -> list[Route]:
    """Return the route `/api/v1/reports/<kind>`."""
    from appliance.plugins.reports.routes import report_routes

    return report_routes()


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
