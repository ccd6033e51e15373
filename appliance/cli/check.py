"""`appliance check`: what is configured, where it comes from, and whether this machine can."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from appliance.app import App, registered_settings
from appliance.cli.options import pass_app
from appliance.collector.engines import examine_engine
from appliance.environment import FAIL, OK, Finding, examine
from appliance.nfacctd.examination import examine_collector_config
from appliance.settings import CORE_SETTINGS, EffectiveSetting, sample_configuration

_COLOURS = {OK: "green", FAIL: "red"}


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--sample", is_flag=True, help="Print a configuration file with every default.")
@pass_app
def command(app: App, as_json: bool, sample: bool) -> int:
    """Check the configuration and this machine.

    Prints every setting with its value and the file that it comes from, and each value of a
    collector configuration with its line; lines of it that do nothing are named. Then one line for
    each thing that the appliance needs here: ok, or what to do. Exits with 1 when something would
    keep collector or API from working.
    """
    if sample:
        settings = (*CORE_SETTINGS, *registered_settings(app.plugins))
        click.echo(sample_configuration(settings), nl=False)
        return 0
    effective = list(app.settings.describe())
    from appliance.web.examination import examine_web

    collector, said = examine_collector_config(app.settings)
    findings = [*examine(app.settings), *said, *examine_engine(app), *examine_web(app)]
    if as_json:
        _print_json(effective, collector, findings)
    else:
        _print_tables([*effective, *collector], findings)
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


def _print_tables(effective: Sequence[EffectiveSetting], findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console()
    table = Table(Column("setting", no_wrap=True), "value", "from", box=None, pad_edge=False)
    for setting in effective:
        table.add_row(*(Text(part) for part in setting))
    console.print(table)
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        status = Text(finding.status, _COLOURS.get(finding.status, "yellow"))
        table.add_row(status, Text(finding.what), Text(finding.text))
    console.print(table)
