"""What is known of each exporter, from the collector's status file, for people.

The file is another process's and read as untrusted: what is not a number where one belongs counts
as not known. Nothing here needs a running collector.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from appliance.collector.sessions import SILENCE_MS
from appliance.export_protocols import SHORT_NAMES
from appliance.settings.file import Settings

ASSUMED = "assumed"
"""Nobody told a sampling rate, so traffic counts as it is."""

OF_OTHERS = "exporter, to another collector"
"""In options records that did not come here, and that a plugin shares."""

IN_RECORDS, IN_HEADERS = "exporter, in its records", "exporter, in its headers"
"""Flow records carry it (elements 34, 50, 305 and their kin), or the headers of NetFlow v5."""

STALE_SECONDS = 10.0
"""The collector writes its figures every two seconds; older ones are of one that is gone."""

Json = dict[str, Any]
_TELLS_IN_HEADERS = 5
_LARGEST_PORT = 0xFFFF
TRANSPORTS = ("udp", "tcp", "tls")
_COUNTS_MESSAGES = 9
"""NetFlow v9 numbers its messages, the others their records."""


@dataclass(frozen=True, slots=True)
class ExporterRow:
    """One exporter, or one session of an address that has several.

    Attributes
    ----------
    port
        None for the only session of an address.
    state
        `active`; `waiting`: data wait for their template; `ended`: a connection that is over;
        `silent` for five minutes; `unheard`: known from before the collector's start only.
    last_seen_ms
        Milliseconds UTC; None for never.
    flows_per_second, lost_percent
        None where that is not known.
    lost, received
        By sequence numbers, in what these count: messages (v9), else records.
    waiting
        Data Sets that wait for their template.
    sampling
        One packet of so many; None where it differs from record to record.
    transport
        `udp`, `tcp` or `tls`.
    session
        Its key in the figures; "" for one of before the collector's start.
    named
        The exporters that it says it speaks for.
    """

    exporter: str
    port: int | None
    state: str
    protocol: str
    last_seen_ms: int | None
    flows_per_second: float | None
    lost_percent: float | None
    templates: int
    waiting: int
    sampling: float | None
    sampling_source: str
    named: tuple[str, ...] = ()
    lost: int = 0
    received: int = 0
    transport: str = "udp"
    session: str = ""


def exporter_rows(status: Mapping[str, Any], settings: Settings) -> list[ExporterRow]:
    """Return a row for each exporter and session, in the order of their addresses."""
    rows = [
        row
        for address, facts in mapping(status.get("exporters")).items()
        if _is_address(address)
        for row in _rows(address, mapping(facts), status, settings)
    ]
    return sorted(rows, key=lambda row: (_sort_key(row.exporter), row.port or 0))


def is_current(status: Mapping[str, Any] | None, now: float) -> bool:
    """Tell whether the collector that wrote the figures still runs."""
    time_ms = number(status or {}, "time_ms")
    return time_ms > 0 and now - time_ms / 1000 <= STALE_SECONDS


def _rows(
    address: str, facts: Json, status: Mapping[str, Any], settings: Settings
) -> Iterator[ExporterRow]:
    sessions = mapping(facts.get("sessions"))
    if not sessions:
        # Known from its sequence numbers only, which are older than this collector.
        yield _row((address, None), {**facts, "datagrams": 0}, status, settings)
    for key, session in sessions.items():
        port = number(mapping(session), "port") or (int(key) if key.isdecimal() else 0)
        shown = int(port) if len(sessions) > 1 and 0 < port <= _LARGEST_PORT else None
        of_session = {**mapping(session), "borrowed_sampling": facts.get("borrowed_sampling")}
        row = _row((address, shown), of_session, status, settings)
        yield replace(row, session=key)


def _row(
    of: tuple[str, int | None], facts: Json, status: Mapping[str, Any], settings: Settings
) -> ExporterRow:
    version, last_seen_ms = int(number(facts, "version")), int(number(facts, "last_seen_ms"))
    waiting, datagrams = int(number(facts, "waiting_sets")), number(facts, "datagrams")
    records = number(facts, "records") + number(facts, "options_records")
    received = datagrams if version == _COUNTS_MESSAGES else records
    lost = max(number(facts, "lost"), 0)
    state = "waiting" if waiting else "active"
    if number(status, "time_ms") - last_seen_ms >= SILENCE_MS:
        state = "silent"
    if facts.get("is_over") is True:
        state = "ended"
    if not datagrams:
        state = "unheard"
    sampling = exporter_sampling(of[0], facts, settings)
    named = facts.get("exporters")
    return ExporterRow(
        *of,
        state,
        SHORT_NAMES.get(version, str(version or "")),
        last_seen_ms or None,
        number(facts, "flows_per_second") if datagrams else None,
        100 * lost / (lost + received) if lost + received else None,
        int(number(facts, "templates")),
        waiting,
        sampling["rate"] or None,
        sampling["source"],
        tuple(filter(_is_address, named)) if isinstance(named, list) else (),
        lost=int(lost),
        received=int(received),
        transport=transport if (transport := facts.get("transport")) in TRANSPORTS else "udp",
    )


def exporter_sampling(address: str, facts: Json, settings: Settings) -> Json:
    """Return an exporter's sampling rate and who says so; rate 0: the records differ.

    The order is the decoders': what records or their headers carry, what options records told, here
    or to another collector, then the setting for the exporter, then the default.
    """
    if number(facts, "sampling_in_records"):
        sessions = [mapping(one) for one in mapping(facts.get("sessions")).values()]
        newest = max(sessions, key=lambda one: number(one, "last_seen_ms"), default=facts)
        if number(newest, "version") == _TELLS_IN_HEADERS:
            return {"rate": number(newest, "sampling_rate"), "source": IN_HEADERS}
        return {"rate": 0, "source": IN_RECORDS}
    return sampling_of(address, facts.get("sampling"), settings, facts.get("borrowed_sampling"))


def sampling_of(address: str, told: object, settings: Settings, told_others: object = None) -> Json:
    """Return the sampling rate that an exporter told in options, or that is set for it."""
    if (here := _told_sampling(told)) is not None:
        return here
    if (elsewhere := _told_sampling(told_others)) is not None:
        return {**elsewhere, "source": OF_OTHERS}
    return _configured_sampling(address, settings)


def _told_sampling(told: object) -> Json | None:
    """Return the sampling rate that an exporter told in options; None where it told none."""
    by_domain = mapping(mapping(told).get("by_domain"))
    rates = [rate for rate in by_domain.values() if isinstance(rate, int | float)]
    if rates and max(rates) > 0:
        return {"rate": max(rates), "source": "exporter", "by_domain": by_domain}
    if any(mapping(told).get(name) for name in ("selectors", "interfaces")):
        return {"rate": 0, "source": "exporter, by selector or interface"}
    return None


def _configured_sampling(address: str, settings: Settings) -> Json:
    for network, rate in settings["collector.sampling_overrides"].items():
        if _is_in(address, network):
            return {"rate": rate, "source": "collector.sampling_overrides"}
    default = settings["collector.default_sampling_rate"]
    if default:
        return {"rate": default, "source": "collector.default_sampling_rate"}
    return {"rate": 1, "source": ASSUMED}


def mapping(value: object) -> Json:
    """Return a value that is one, else an empty one."""
    return value if isinstance(value, dict) else {}


def number(facts: Mapping[str, Any], name: str) -> float:
    """Return a number, 0 where there is none."""
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 62:
        return 0
    return value


def _is_in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return _is_address(address) and ipaddress.ip_address(address) in network


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _sort_key(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)
