"""`appliance exporters health`: whether all of an exporter arrives, can be read, and is in time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click

from appliance.app import App
from appliance.cli.moments import age_text, utc_text
from appliance.cli.options import pass_app
from appliance.collector.exporter_health import ExporterHealth, SessionHealth, exporter_health
from appliance.collector.exporter_hints import exporter_hints
from appliance.collector.exporter_rows import exporter_rows
from appliance.collector.status import STATUS_FILE, read_status
from appliance.errors import ApplianceError
from appliance.stores import store_factory

Line = tuple[str, str]
_INDENT = 16


@click.command("health")
@click.argument("exporter", metavar="[ADDRESS_OR_ID]", required=False)
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@pass_app
def command(app: App, exporter: str | None, form: str) -> None:
    """Show whether all of an exporter arrives, can be read, and is at the right time.

    Losses, restarts, templates that are missing, elements that nobody knows, sampling and who says
    so, the clock, the active timeout as observed, and the exporter's own totals beside what came.
    Without an exporter: all of them.
    """
    path = app.settings["data_directory"] / STATUS_FILE
    status = read_status(path)
    if status is None:
        raise ApplianceError(f"no collector has run here: {path} cannot be read")
    addresses = dict.fromkeys(row.exporter for row in exporter_rows(status, app.settings))
    chosen = [_address(app, exporter, addresses)] if exporter else list(addresses)
    for address in chosen:
        health = exporter_health(address, status, app.settings, time.time())
        if health is None:
            raise ApplianceError(f"the collector knows no exporter {address}")
        if form == "json":
            click.echo(json.dumps({**asdict(health), "hints": exporter_hints(health)}))
        else:
            click.echo("\n".join(_text(health)) + "\n")


def _address(app: App, exporter: str, known: dict[str, None]) -> str:
    """Return the address of an exporter that is named by address or identifier."""
    opener = None if exporter in known else store_factory(app.stores, app.settings)
    if opener is None or not exporter.isdecimal():
        return exporter
    with closing(opener()) as store:
        addresses = {str(record.id): record.address for record in store.exporters()}
    return addresses.get(exporter, exporter)


def _text(health: ExporterHealth) -> Iterator[str]:
    state = "" if health.running else "; the collector is not running, these are its last figures"
    yield f"{health.address}{state}"
    for name, text in _lines(health):
        yield f"  {name:<{_INDENT}}{text}"
    for hint in exporter_hints(health):
        yield f"  ! {hint}"


def _lines(health: ExporterHealth) -> Iterator[Line]:
    silent = health.silent_seconds
    yield (
        "silent",
        "nothing came since the collector started" if silent is None else age_text(silent),
    )
    for session in health.sessions:
        if session.port is not None:
            over = f" over {session.transport.upper()}" if session.transport != "udp" else ""
            yield f"port {session.port}", f"{session.protocol}{over}, {session.state}"
        elif session.transport != "udp":
            yield "connection", f"{session.protocol} over {session.transport.upper()}"
        yield from _session_lines(session)
    for missing in health.missing_templates:
        age = age_text(health.time - missing["since"])
        yield (
            "missing",
            f"template {missing['id']} of domain {missing['domain']}, for {age}:"
            f" {missing['octets']:,} octets wait",
        )
    if health.unknown_elements:
        yield "unknown", ", ".join(health.unknown_elements)
    for total in health.totals:
        yield "own totals", _total_text(total)


def _session_lines(session: SessionHealth) -> Iterator[Line]:
    if session.lost_percent is not None:
        whole = session.lost + session.received
        late = f", {session.late:,} came late" if session.late else ""
        yield (
            "lost",
            f"{session.lost_percent:.2f}%: {session.lost:,} of {whole:,} {session.lost_unit}"
            f"{late}{_since(session.since)}",
        )
    if session.restarts:
        yield "restarts", f"{session.restarts:,}{_since(session.last_restart, ', last ')}"
    age = session.template_age_seconds
    announced = "" if age is None else f", each announced in the last {age_text(age)}"
    if session.protocol != "v5":
        yield "templates", f"{session.templates:,}{announced}"
    rate = "by record" if session.sampling is None else f"1 in {session.sampling:g}"
    last = f", last 1 in {session.last_rate:g}" if session.last_rate else ""
    yield "sampling", f"{rate} ({session.sampling_source}{last})"
    skew = session.clock_skew_seconds
    yield "clock", f"{abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if (timeout := session.active_timeout_seconds) is not None:
        yield "active timeout", f"{timeout:.0f} s, as observed"


def _total_text(total: dict[str, Any]) -> str:
    parts = [
        f"{total[name]['sent']:,} {name.replace('_', ' ')} sent, {total[name]['missing']:,} missing"
        for name in ("flow_records", "messages", "octets")
        if name in total
    ]
    return "; ".join(parts) + _since(total["since"])


def _since(moment: float | None, before: str = ", since ") -> str:
    if moment is None:
        return ""
    return before + utc_text(moment)
