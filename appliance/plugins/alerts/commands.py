"""`appliance alerts`: what is the matter, and which rules say so."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from appliance import ApplianceError, Settings
from appliance.cli.options import conf_path_option, pass_settings
from appliance.plugins.alerts.alert_settings import SEND_TO
from appliance.plugins.alerts.rules import (
    CONDITIONS,
    GROUPS,
    SEVERITIES,
    UNITS,
)
from appliance.plugins.alerts.store import alert_store

if TYPE_CHECKING:
    from appliance.plugins.alerts.rules import Rule
    from appliance.plugins.alerts.store import Alert, AlertStore

_SHOWN = 30
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("alerts", invoke_without_command=True)
@click.option("--all", "with_ended", is_flag=True, help="Those that are over, too.")
@_json_option
@click.pass_context
def alerts(context: click.Context, /, with_ended: bool, as_json: bool) -> None:
    """Show what is the matter, and say when that is so.

    Rules are looked at as flows come in; messages go to alerts.send_to.
    """
    if context.invoked_subcommand is None:
        context.invoke(_list, with_ended=with_ended, as_json=as_json)


@pass_settings
def _list(settings: Settings, /, with_ended: bool, as_json: bool) -> None:
    store = alert_store(settings)
    found = store.alerts(only_open=not with_ended, limit=_SHOWN)
    if as_json:
        rows = [{**alert._asdict(), "keys": list(alert.keys)} for alert in found]
        click.echo(json.dumps(rows, indent=2))
        return
    if found:
        click.echo(_table(found), nl=False)
        return
    n_on = sum(rule.is_on for rule in store.rules())
    rest = "no rule is on: see appliance alerts rules" if not n_on else f"{n_on} rules are on"
    click.echo(f"no alert is open, {rest}")


def _table(found: Sequence[Alert]) -> str:
    from rich.table import Table
    from rich.text import Text

    from appliance.cli.tables import table_text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("alert", "began", "ended", "severity", "what", "seen by"):
        table.add_column(heading, justify="right" if heading == "alert" else "left")
    for alert in found:
        cells = (
            *(str(alert.id), _time(alert.began)),
            "goes on" if alert.ended is None else _time(alert.ended),
            *(alert.severity, alert.sentence, alert.acknowledged_by or ""),
        )
        table.add_row(*map(Text, cells))
    return table_text(table, None)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%m-%d %H:%M:%S}"


@alerts.command("rules", params=[conf_path_option(hidden=True)])
@_json_option
@pass_settings
def rules(settings: Settings, /, as_json: bool) -> None:
    """List the rules, those that come with the appliance too."""
    store = alert_store(settings)
    found = store.rules()
    if as_json:
        click.echo(json.dumps([rule.as_dict() for rule in found], indent=2))
        return
    width = max(len(rule.name) for rule in found)
    for rule in found:
        problem = _problem(settings, store, rule)
        rest = f"; {problem}" if problem else ""
        click.echo(f"{'on ' if rule.is_on else 'off'}  {rule.name:<{width}}  {rule.sentence}{rest}")


def _problem(settings: Settings, store: AlertStore, rule: Rule) -> str:
    if not rule.needs_history:
        return ""
    from appliance.plugins.alerts.baseline_store import problem_of
    from appliance.web.times import local_zone

    return problem_of(rule, store, local_zone(settings["timezone"]), time.time())


@alerts.command("set", params=[conf_path_option(hidden=True)])
@click.argument("name")
@click.option("--filter", help="Which flows count, in the language of filters.")
@click.option("--measure", type=click.Choice(list(UNITS)), help="What is measured.")
@click.option("--by", type=click.Choice(list(GROUPS)), help="Each of these is looked at alone.")
@click.option("--window", metavar="SECONDS", help="The measure is over so long.")
@click.option("--condition", type=click.Choice(list(CONDITIONS)), help="When it is an alert.")
@click.option("--limit", help="In the unit of the measure.")
@click.option("--clear", help="It is over when beyond this again.")
@click.option("--least", help="Of baselines: less than this, in the unit of the measure, is none.")
@click.option("--hold", metavar="SECONDS", help="It must be so for so long.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="How bad that is.")
@click.option("--quiet", metavar="HH:MM-HH:MM", help="No messages at this time of day.")
@click.option("--text", help="What to say beside the facts.")
@pass_settings
def set_(settings: Settings, /, name: str, **options: str | None) -> None:
    """Add the rule NAME, or change it, and switch it on."""
    from appliance.plugins.alerts.filters import filter_of

    store = alert_store(settings)
    changes = {key: value for key, value in options.items() if value is not None}
    rule = store.rule_with(name, {**changes, "is_on": True})
    filter_of(rule.filter, settings)
    store.put_rule(rule)
    click.echo(f"{rule.name} is on: {rule.sentence}")


@alerts.command("on", params=[conf_path_option(hidden=True)])
@click.argument("name")
@pass_settings
def on(settings: Settings, /, name: str) -> None:
    """Switch the rule NAME on."""
    rule = alert_store(settings).switch_rule(name, True)
    click.echo(f"{rule.name} is on: {rule.sentence}")


@alerts.command("off", params=[conf_path_option(hidden=True)])
@click.argument("name")
@pass_settings
def off(settings: Settings, /, name: str) -> None:
    """Switch the rule NAME off; its open alerts end."""
    click.echo(f"{alert_store(settings).switch_rule(name, False).name} is off")


@alerts.command("delete", params=[conf_path_option(hidden=True)])
@click.argument("name")
@pass_settings
def delete(settings: Settings, /, name: str) -> None:
    """Delete the rule NAME; one that came with the appliance is as it came, and off."""
    alert_store(settings).delete_rule(name)
    click.echo(f"{name} is deleted")


@alerts.command("test", params=[conf_path_option(hidden=True)])
@click.argument("name")
@click.option("--last", default="7d", show_default=True, metavar="SPAN", help="Such as 1d or 30d.")
@pass_settings
def test(settings: Settings, /, name: str, last: str) -> None:
    """Tell when the rule NAME would have been in alert."""
    from appliance.flowlog.times import time_range
    from appliance.plugins.alerts.history import try_rule
    from appliance.plugins.alerts.tracking import sentence_of

    now = time.time()
    since_ms, until_ms = time_range(last, None, None, int(now * 1000))
    rule = alert_store(settings).rule(name)
    found = try_rule(rule, since_ms / 1000, min(until_ms / 1000, now), settings, now)
    for one in found.alerts:
        said = sentence_of(rule, one.subject, one.peak, one.facts)
        click.echo(f"{_time(one.began)}  {_time(one.ended)}  {said}")
    if found.problem:
        click.echo(found.problem, err=True)
    started = max(found.complete_from, since_ms / 1000)
    times = "once" if len(found.alerts) == 1 else f"{len(found.alerts)} times"
    click.echo(
        f"in alert {times} since {_time(started)}, by means of {found.step} s: {rule.sentence}",
        err=True,
    )


@alerts.command("message", params=[conf_path_option(hidden=True)])
@pass_settings
def message(settings: Settings) -> None:
    """Send a message to alerts.send_to, to see that it arrives."""
    from appliance.plugins.alerts.messages import message_sender
    from appliance.plugins.alerts.trap_addresses import trap_receivers
    from appliance.plugins.alerts.traps import Notice, engine_id, trap_sender

    text = "A message to try alerts: all is well."
    receivers = trap_receivers(settings[SEND_TO.name])
    send, send_traps = message_sender(settings[SEND_TO.name], settings), trap_sender(receivers)
    if send is None and send_traps is None:
        raise ApplianceError("alerts.send_to names nobody")
    if send_traps is not None:
        try:
            send_traps([Notice(text, "info", False)])
        except OSError as error:
            raise ApplianceError(f"a trap could not be sent: {error}") from error
        engine = f"; the engine of version 3 is 0x{engine_id().hex()}"
        click.echo(f"traps sent{engine if any(r.user for r in receivers) else ''}", err=True)
    if send is None:
        return
    if not send("NetFlow appliance", text):
        raise ApplianceError("it could not be sent to all of alerts.send_to")
    click.echo("sent", file=sys.stderr)
