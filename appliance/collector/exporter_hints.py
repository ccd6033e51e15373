"""What is wrong with an exporter, as sentences that say what helps."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.collector.exporter_health import ExporterHealth
from appliance.collector.exporter_rows import ASSUMED

LOST_PERCENT = 1.0
SKEW_SECONDS = 5.0
LONGEST_TIMEOUT_SECONDS = 150.0
"""Exporters look for flows that are due now and then, so one of a minute may tell two."""

RESTART_SECONDS = 3600.0
_MISSING_PERCENT = 1.0
_MOST_NAMED = 3


def exporter_hints(health: ExporterHealth) -> list[str]:
    """Return sentences, most important first; none when all is well."""
    return [
        *_silence(health),
        *_missing_templates(health),
        *_losses(health),
        *_missing_totals(health),
        *_sampling(health),
        *_times(health),
        *_restarts(health),
        *_records(health),
    ]


def _silence(health: ExporterHealth) -> Iterator[str]:
    if health.sessions and all(session.state == "ended" for session in health.sessions):
        yield (
            "It has closed its connection, or was gone: does it try again? The collector's log says"
            " why a connection was closed from here."
        )
    elif all(session.state == "silent" for session in health.sessions):
        yield (
            "Nothing has come for five minutes: is the exporter up, does it still route to this"
            " address, does a firewall drop UDP?"
        )


def _missing_templates(health: ExporterHealth) -> Iterator[str]:
    missing = health.missing_templates
    if not missing:
        return
    numbers = ", ".join(str(one["id"]) for one in missing[:_MOST_NAMED])
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    what = "its template" if len(missing) == 1 else "their templates"
    yield (
        f"Data wait for {what} ({numbers}{more}). Exporters repeat templates by time or by packets:"
        " set the refresh to a minute (Cisco: template data timeout 60)."
    )


def _losses(health: ExporterHealth) -> Iterator[str]:
    if health.lost_percent <= LOST_PERCENT:
        return
    if health.kernel_drops:
        yield (
            "Sequence numbers show gaps, and this machine's kernel dropped"
            f" {health.kernel_drops} datagrams: `appliance check` says how to make the receive"
            " buffer larger."
        )
    else:
        yield (
            "Sequence numbers show gaps, and this machine dropped nothing: the network or the"
            " exporter drops datagrams."
        )


def _missing_totals(health: ExporterHealth) -> Iterator[str]:
    for total in health.totals:
        records = total.get("flow_records") or total.get("messages")
        if records and records["missing"] * 100 > records["sent"] * _MISSING_PERCENT:
            what = "flow records" if "flow_records" in total else "messages"
            yield (
                f"By its own count it sent {records['sent']} {what} while the collector listened,"
                f" and {records['missing']} of them did not come or could not be read."
            )


def _sampling(health: ExporterHealth) -> Iterator[str]:
    if health.sampling["source"] == ASSUMED:
        yield (
            "Nobody told a sampling rate, so traffic counts as it is. If this exporter samples,"
            " send its sampler options or set collector.sampling_overrides."
        )


def _times(health: ExporterHealth) -> Iterator[str]:
    if abs(health.skew_seconds) >= SKEW_SECONDS:
        yield (
            "Its clock differs from this machine's: flows lie at the wrong time. Use NTP on both."
        )
    longest = max((s.active_timeout_seconds or 0.0 for s in health.sessions), default=0.0)
    if longest > LONGEST_TIMEOUT_SECONDS:
        yield (
            f"Its flow records cover up to {longest:.0f} seconds, so traffic comes late and in"
            " lumps: set the active timeout to 60 seconds."
        )


def _restarts(health: ExporterHealth) -> Iterator[str]:
    recent = [
        session.restarts
        for session in health.sessions
        if session.last_restart is not None and health.time - session.last_restart < RESTART_SECONDS
    ]
    if recent:
        times = "once" if sum(recent) == 1 else f"{sum(recent)} times"
        yield (
            f"It has started again {times} since the collector runs, last within the hour: what it"
            " had not exported by then is lost."
        )


def _records(health: ExporterHealth) -> Iterator[str]:
    if health.implausible:
        yield (
            f"{health.implausible} records claimed more than any interface carries; they are kept,"
            " and in no sum."
        )
