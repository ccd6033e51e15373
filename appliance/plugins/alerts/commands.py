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
from appliance.plugins.alerts.command_places import CommandPlaces, pass_places
from appliance.plugins.alerts.rules import (
    CONDITIONS,
    GROUPS,
    SEVERITIES,
    UNITS,
)

if TYPE_CHECKING:
    from appliance.plugins.alerts.rule_places import RulePlace
    from appliance.plugins.alerts.rules import Rule
    from appliance.plugins.alerts.store import Alert

_SHOWN = 30
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_user_option = click.option(
    "--user",
    metavar="NAME",
    help="Of this user, who is bound to a filter: the rule sees no flow outside.",
)


@click.group("alerts", invoke_without_command=True)
@click.option("--all", "with_ended", is_flag=True, help="Those that are over, too.")
@_user_option
@_json_option
@click.pass_context
def alerts(context: click.Context, /, with_ended: bool, user: str | None, as_json: bool) -> None:
    """Show what is the matter, and say when that is so.

    Rules are looked at as flows come in; messages go to alerts.send_to. Those of users who are
    bound to a filter see no flow outside, and are mailed to the user.
    """
    if context.invoked_subcommand is None:
        context.invoke(_list, with_ended=with_ended, user=user, as_json=as_json)


@pass_places
def _list(places: CommandPlaces, /, with_ended: bool, user: str | None, as_json: bool) -> None:
    store = places.place(user).store
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
@_user_option
@_json_option
@pass_places
def rules(places: CommandPlaces, /, user: str | None, as_json: bool) -> None:
    """List the rules, those that come with the appliance too, and whose they are."""
    rows = [("", "", rule, places.place(None)) for rule in places.place(None).store.rules()]
    if user is not None:
        rows = []
    for owner, place in places.of_users(user):
        own = [rule for rule in place.store.rules() if user or rule.is_on]
        rows += [(owner.name, owner.problem, rule, place) for rule in own]
    if as_json:
        listed = [{**rule.as_dict(), "user": name or None} for name, _, rule, _ in rows]
        click.echo(json.dumps(listed, indent=2))
        return
    names = [f"{name}: {rule.name}" if name else rule.name for name, _, rule, _ in rows]
    width = max((len(name) for name in names), default=0)
    for shown, (_, reason, rule, place) in zip(names, rows, strict=True):
        problem = reason or _problem(place, rule)
        rest = f"; {problem}" if problem else ""
        click.echo(f"{'on ' if rule.is_on else 'off'}  {shown:<{width}}  {rule.sentence}{rest}")


def _problem(place: RulePlace, rule: Rule) -> str:
    if not rule.needs_history:
        return ""
    from appliance.plugins.alerts.baseline_store import BaselineStore, problem_of
    from appliance.web.times import local_zone

    zone = local_zone(place.flows.settings["timezone"])
    return problem_of(rule, BaselineStore(place.store, zone, place.flows.bound_to), time.time())


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
@_user_option
@pass_places
def set_(places: CommandPlaces, /, name: str, user: str | None, **options: str | None) -> None:
    """Add the rule NAME, or change it, and switch it on."""
    place = places.place(user, looks_at_flows=True)
    changes = {key: value for key, value in options.items() if value is not None}
    rule = place.store.rule_with(name, {**changes, "is_on": True})
    place.check(rule)
    place.store.put_rule(rule)
    click.echo(f"{rule.name} is on: {rule.sentence}")


@alerts.command("on", params=[conf_path_option(hidden=True)])
@click.argument("name")
@_user_option
@pass_places
def on(places: CommandPlaces, /, name: str, user: str | None) -> None:
    """Switch the rule NAME on."""
    rule = places.place(user, looks_at_flows=True).store.switch_rule(name, True)
    click.echo(f"{rule.name} is on: {rule.sentence}")


@alerts.command("off", params=[conf_path_option(hidden=True)])
@click.argument("name")
@_user_option
@pass_places
def off(places: CommandPlaces, /, name: str, user: str | None) -> None:
    """Switch the rule NAME off; its open alerts end."""
    click.echo(f"{places.place(user).store.switch_rule(name, False).name} is off")


@alerts.command("delete", params=[conf_path_option(hidden=True)])
@click.argument("name")
@_user_option
@pass_places
def delete(places: CommandPlaces, /, name: str, user: str | None) -> None:
    """Delete the rule NAME; one that came with the appliance is as it came, and off."""
    places.place(user).store.delete_rule(name)
    click.echo(f"{name} is deleted")


@alerts.command("test", params=[conf_path_option(hidden=True)])
@click.argument("name")
@click.option("--last", default="7d", show_default=True, metavar="SPAN", help="Such as 1d or 30d.")
@_user_option
@pass_places
def test(places: CommandPlaces, /, name: str, last: str, user: str | None) -> None:
    """Tell when the rule NAME would have been in alert."""
    from appliance.flowlog.times import time_range
    from appliance.plugins.alerts.history import try_rule
    from appliance.plugins.alerts.tracking import sentence_of

    now = time.time()
    since_ms, until_ms = time_range(last, None, None, int(now * 1000))
    place = places.place(user, looks_at_flows=True)
    rule = place.store.rule(name)
    found = try_rule(rule, since_ms / 1000, min(until_ms / 1000, now), place.flows, now)
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
