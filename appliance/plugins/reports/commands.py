"""`appliance report`: what a day, week or month brought."""

from __future__ import annotations

import json
import time

import click

from appliance import Settings
from appliance.cli.options import pass_settings
from appliance.plugins.reports.periods import KINDS, period_from_text


@click.command("report")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--date", "day", default="", metavar="DAY", help="A day in it, such as 2026-01-31.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table",
    show_default=True, help="As CSV: what would be billed.",
)  # fmt: skip
@pass_settings
def report(settings: Settings, /, kind: str, day: str, form: str) -> None:
    """Report on a day, week or month, by default the last one that is over.

    It has totals and top lists with their change against the one before, and the 95th percentile
    of each interface and of reports.customers.
    """
    from appliance.plugins.reports.making import ReportMaker
    from appliance.plugins.reports.showing import report_csv, report_text
    from appliance.web.times import local_zone

    now, zone = time.time(), local_zone(settings["timezone"])
    made = ReportMaker(settings, zone, now).make(period_from_text(kind, day, now, zone))
    if form == "json":
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(report_csv(made) if form == "csv" else report_text(made), nl=False)
