"""`appliance check`: what is configured, where it comes from, and whether this machine can."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

import click

from appliance.app import App
from appliance.cli.options import pass_app
from appliance.cli.tables import Column, align_columns, printable, terminal_width
from appliance.contracts import FAIL, OK, Finding
from appliance.environment import check_environment
from appliance.process_parts import plugin_findings
from appliance.registrations import gather_settings
from appliance.settings.file import CORE_SETTINGS, EffectiveSetting, sample_configuration

_COLOURS = {OK: "green", FAIL: "red"}
_STATUS_WIDTH = 4


@click.command("check")
@click.option(
    "--settings", "with_settings", is_flag=True, help="Also print every setting in force."
)
@click.option("--json", "as_json", is_flag=True, help="Print checks and settings as JSON.")
@click.option("--sample", is_flag=True, help="Print a configuration file with every default.")
@pass_app
def command(app: App, with_settings: bool, as_json: bool, sample: bool) -> int:
    """Check the configuration and this machine.

    Prints one line for each thing that the appliance needs here: ok, or what to do; lines of a
    collector configuration that do nothing are named. With --settings every setting follows, with
    its value and the file that it comes from, and each value of a collector configuration with its
    line. Exits with 1 when something would keep collector or API from working.
    """
    if sample:
        settings = (*CORE_SETTINGS, *gather_settings(app.plugins))
        click.echo(sample_configuration(settings), nl=False)
        return 0
    from appliance.web.checks import check_web

    app.gather_all()
    effective = list(app.settings.describe())
    collector = app.overridable.lines()
    findings = [
        *check_environment(app.settings),
        *check_web(app.web_parts()),
        *plugin_findings(app),
    ]
    if as_json:
        _print_json(effective, collector, findings)
    else:
        _print_findings(findings, terminal_width(None))
        if with_settings:
            click.echo()
            _print_settings([*effective, *collector])
    return int(any(finding.status == FAIL for finding in findings))


def _print_json(
    effective: Sequence[EffectiveSetting],
    collector: Sequence[EffectiveSetting],
    findings: Sequence[Finding],
) -> None:
    report = {
        "settings": [setting._asdict() for setting in effective],
        "collector": [setting._asdict() for setting in collector],
        "environment": [asdict(finding) for finding in findings],
    }
    click.echo(json.dumps(report, indent=2))


def _print_findings(findings: Sequence[Finding], width: int | None) -> None:
    """Print a line for each check; a terminal gets long ones wrapped below their text."""
    column = max(len(finding.what) for finding in findings)
    indent = " " * (_STATUS_WIDTH + column + 4)
    for finding in findings:
        colour = _COLOURS.get(finding.status, "yellow")
        status = click.style(f"{finding.status:<{_STATUS_WIDTH}}", fg=colour)
        text = printable(finding.text)
        if width is not None and width > 2 * len(indent):
            wrapped = textwrap.wrap(text, width - len(indent), break_on_hyphens=False)
            text = f"\n{indent}".join(wrapped)
        click.echo(f"{status}  {finding.what:<{column}}  {text}")
    click.echo(_summary(findings))


def _summary(findings: Sequence[Finding]) -> str:
    failed = sum(finding.status == FAIL for finding in findings)
    hints = sum(finding.status not in (FAIL, OK) for finding in findings)
    counts = [f"{failed} failed"] * bool(failed) + [f"{hints} with a hint"] * bool(hints)
    return f"{len(findings)} checks, {' and '.join(counts) or 'all ok'}"


def _print_settings(effective: Sequence[EffectiveSetting]) -> None:
    """Print every setting with its origin and its value, which is last as it can be long."""
    columns = [
        Column("setting", tuple(setting.name for setting in effective)),
        Column("from", tuple(setting.origin for setting in effective)),
        Column("value", tuple(printable(setting.value) for setting in effective)),
    ]
    click.echo(align_columns(columns), nl=False)
