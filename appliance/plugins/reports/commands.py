"""`appliance report`: what a day, week or month brought, and reports that are made regularly."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance import ApplianceError, Settings
from appliance.cli.options import conf_path_option, pass_app, pass_settings
from appliance.plugins.reports.periods import KINDS

if TYPE_CHECKING:
    from appliance.app import App
    from appliance.plugins.reports.named_reports import NamedReport
    from appliance.plugins.reports.report_store import ReportStore

_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_date_option = click.option(
    "--date", "day", default="", metavar="DAY", help="A day in it, such as 2026-01-31."
)


class ReportGroup(click.Group):
    """A group whose every other word is a report to show."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; a day, week or month is one, too."""
        return show if cmd_name in KINDS else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first word; the one that shows a report for any other."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return args[0], show, args
        return super().resolve_command(ctx, args)


@click.group(
    "report", cls=ReportGroup, subcommand_metavar="{daily|weekly|monthly|NAME} | COMMAND [ARGS]..."
)
def report() -> None:
    """Report on a day, week or month, now or regularly by mail.

    \b
    appliance report daily                       the last day that is over
    appliance report monthly --date 2026-01-31   the month with that day
    appliance report "weekly for the NOC"        a report that was set

    It has totals and top lists with their change against the period before, and the 95th percentile
    of each interface and of reports.customers. See appliance report daily --help.
    """


@click.command("show", params=[conf_path_option(hidden=True)])
@click.argument("which", metavar="")
@_date_option
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table",
    show_default=True, help="As CSV: what would be billed.",
)  # fmt: skip
@click.option("--anew", is_flag=True, help="Ask the flows again, though the report was kept.")
@pass_app
def show(app: App, /, which: str, day: str, form: str, anew: bool) -> None:
    """Show a report, by default on the last day, week or month that is over.

    One that was set by name is shown as it was kept at the end of its period, where it was.
    """
    from appliance.plugins.reports.showing import report_csv, report_text

    content = _content(app, which, day, anew=anew)
    if form == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(report_csv(content) if form == "csv" else report_text(content), nl=False)


def _content(app: App, which: str, day: str, *, anew: bool = False) -> dict[str, Any]:
    """Return a report of a kind or of a name."""
    from appliance.plugins.reports.asking import kind_report, named_report
    from appliance.query.engine import engine_from_settings
    from appliance.web.store_access import StoreAccess
    from appliance.web.times import local_zone

    zone, access = local_zone(app.settings["timezone"]), StoreAccess(app.open_store)
    try:
        source = (engine_from_settings(app.settings, access.store), zone, time.time())
        if which in KINDS:
            return kind_report(app.settings, which, day, source)
        return named_report(app.settings, _named(app.settings, which), day, source, anew=anew)
    finally:
        access.close()


def _store(settings: Settings) -> ReportStore:
    from appliance.plugins.reports.report_store import report_store

    return report_store(settings)


def _named(settings: Settings, name: str) -> NamedReport:
    known = _store(settings).reports()
    if name not in known:
        raise ApplianceError(
            f"no report is called {name!r}, expected {', '.join([*KINDS, *known])}"
        )
    return known[name][0]


@report.command("list", params=[conf_path_option(hidden=True)])
@_json_option
@pass_settings
def list_(settings: Settings, /, as_json: bool) -> None:
    """List the reports that were set: next and last."""
    from appliance.plugins.reports.showing import text_table
    from appliance.plugins.reports.states import report_states
    from appliance.web.times import local_zone

    zone = local_zone(settings["timezone"])
    states = report_states(_store(settings), zone, time.time())
    if as_json:
        click.echo(json.dumps(states, indent=2))
        return
    if not states:
        click.echo("no report was set: see appliance report set --help")
        return
    rows = [
        (state["name"], state["kind"], *_plan_cells(state), ", ".join(state["to"]) or "kept only")
        for state in states
    ]
    click.echo(text_table(("report", "kind", "next", "last", "to"), rows, 5), nl=False)


def _plan_cells(state: dict[str, Any]) -> tuple[str, str]:
    last = state["last"]
    if last is None:
        text = "none yet"
    else:
        text = f"{last['period']}: {last['state']}"
        text += f", {last['problem']}" if last["problem"] else ""
    return state["next"][:16].replace("T", " ") if state["next"] else "off", text


@report.command("kept", params=[conf_path_option(hidden=True)])
@click.argument("name", required=False)
@_json_option
@pass_settings
def kept(settings: Settings, /, name: str | None, as_json: bool) -> None:
    """List what is kept, of all or of NAME.

    appliance report NAME --date DAY shows one.
    """
    from appliance.plugins.reports.showing import text_table
    from appliance.web.times import local_zone, rfc3339

    if name is not None:
        _named(settings, name)
    rows = _store(settings).all_kept(name)
    zone = local_zone(settings["timezone"])
    if as_json:
        found = [{**row._asdict(), "made": rfc3339(row.made, zone)} for row in rows]
        click.echo(json.dumps(found, indent=2))
        return
    if not rows:
        click.echo("no report is kept yet")
        return
    cells = [
        (row.report, row.period, f"{datetime.fromtimestamp(row.made, zone):%Y-%m-%d %H:%M}")
        for row in rows
    ]
    click.echo(text_table(("report", "period", "made"), cells, 3), nl=False)


@report.command("set", params=[conf_path_option(hidden=True)])
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Of which period.  [weekly]")
@click.option(
    "--to", multiple=True, metavar="ADDRESS", help='Who gets it; repeatable, "" for nobody.'
)
@click.option("--hour", metavar="0-23", help="Of the local day after the period.  [6]")
@click.option("--zone", help="Of its days and of the hour.  [the setting timezone]")
@click.option("--filter", help="Which flows count, in the language of filters.  [all]")
@click.option(
    "--section", "sections", multiple=True,
    help="totals, traffic, interfaces, customers, or what appliance top groups by; repeatable.",
)  # fmt: skip
@click.option(
    "--customer", "customers", multiple=True,
    help='A name in reports.customers; repeatable, "" for all.',
)  # fmt: skip
@click.option("--rows", metavar="1-50", help="Of each list of the largest.  [10]")
@click.option("--on/--off", "is_on", default=True, help="Whether it is made by itself.")
@pass_settings
def set_(settings: Settings, /, name: str, is_on: bool, **options: Any) -> None:
    """Add the report NAME, or change it.

    What is not said stays as it was, or at its default:

    appliance report set "weekly for the NOC" --kind weekly --to noc@example.com
    """
    from appliance.plugins.reports.asking import check_report
    from appliance.plugins.reports.report_checks import mail_problem

    changes = {key: list(v) if isinstance(v, tuple) else v for key, v in options.items()}
    changes = {key: value for key, value in changes.items() if value not in (None, [])}
    store = _store(settings)
    changed = store.report_with(name, {**changes, "is_on": is_on})
    check_report(changed, settings)
    store.put(changed)
    click.echo(f"{changed.name} is {'on' if is_on else 'off'}: {changed.sentence}")
    if problem := mail_problem(settings, changed):
        click.echo(f"but {problem}", err=True)


@report.command("delete", params=[conf_path_option(hidden=True)])
@click.argument("name")
@pass_settings
def delete(settings: Settings, /, name: str) -> None:
    """Delete the report NAME, and all that was kept of it."""
    _named(settings, name)
    _store(settings).delete(name)
    click.echo(f"{name} is deleted")


@report.command("send", params=[conf_path_option(hidden=True)])
@click.argument("name")
@click.option("--to", multiple=True, metavar="ADDRESS", help="In place of its own; repeatable.")
@_date_option
@click.option(
    "--dry-run", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.eml",
    help="Write the mail to a file, and send nothing.",
)  # fmt: skip
@pass_app
def send(app: App, /, name: str, to: Sequence[str], day: str, file: Path | None) -> None:
    """Send the report NAME now, once more.

    What is sent by itself, and when, stays as it is.
    """
    from appliance.plugins.reports.asking import checked_recipients, mail_of

    named = _named(app.settings, name)
    recipients = checked_recipients(to or named.to)
    content = _content(app, name, day)
    message, hand_over = mail_of(app.settings, named, content, recipients, is_dry=file is not None)
    if file is not None:
        _write(file, message)
        return
    if not recipients:
        raise ApplianceError(f"{name} has no recipients: give one with --to")
    _report_refusals(hand_over(), recipients)


def _write(file: Path, message: Any) -> None:
    from appliance.mail import message_octets

    try:
        file.write_bytes(message_octets(message))
    except OSError as error:
        raise ApplianceError(f"{file}: {error.strerror}") from error
    click.echo(f"written to {file}, nothing was sent", err=True)


def _report_refusals(refusals: Any, recipients: Sequence[str]) -> None:
    for who, refusal in refusals.items():
        click.echo(f"{who} was refused: {refusal.code} {refusal.text}", err=True)
    if refusals:
        raise ApplianceError(f"not sent to {len(refusals)} of {len(recipients)}")
    click.echo(f"sent to {', '.join(recipients)}", file=sys.stderr)
