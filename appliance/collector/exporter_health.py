"""How one exporter is: whether all of it arrives, can be read, and is at the right time.

Made of the collector's status file, which is read as untrusted (see `exporter_rows`); what to do
about it is said by `exporter_hints`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.collector.exporter_rows import (
    ExporterRow,
    exporter_rows,
    exporter_sampling,
    is_current,
    mapping,
    number,
)
from appliance.settings.file import Settings

Json = dict[str, Any]
_UNITS = {"v5": "flows", "v7": "flows", "v9": "messages", "IPFIX": "records", "sFlow": "messages"}
"""What sequence numbers count."""

_TOTALS = ("octets", "messages", "flow_records")


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """One session of an exporter.

    Attributes
    ----------
    since
        From when on its figures count, seconds since 1970; None: it has not been heard.
    lost_unit
        What `lost` and `received` count: what the protocol's sequence numbers do.
    late
        Datagrams that came after a later one.
    restarts, last_restart
        How often it started again, and when last, seconds since 1970.
    templates, template_age_seconds
        Templates known, and how long ago the one announced longest ago was announced.
    sampling, sampling_source
        One packet of so many; None where it differs from record to record. Who says so.
    last_rate
        The sampling rate of one of its last flows, as applied; None: none is known.
    clock_skew_seconds
        By how much its clock is ahead.
    active_timeout_seconds
        The longest duration that is usual among its flow records; None before 100 of them.
    octets
        Of its messages.
    transport
        `udp`, `tcp` or `tls`.
    """

    port: int | None
    state: str
    protocol: str
    since: float | None
    last_seen: float | None
    flows_per_second: float | None
    lost: int
    received: int
    lost_unit: str
    lost_percent: float | None
    late: int
    restarts: int
    last_restart: float | None
    templates: int
    template_age_seconds: float | None
    waiting_sets: int
    sampling: float | None
    sampling_source: str
    last_rate: float | None
    clock_skew_seconds: float
    active_timeout_seconds: float | None
    octets: int
    speaks_for: tuple[str, ...]
    transport: str


@dataclass(frozen=True, slots=True)
class ExporterHealth:
    """One exporter.

    Attributes
    ----------
    time
        Of these figures, seconds since 1970.
    running
        Whether the collector runs; else the figures are its last ones.
    silent_seconds
        How long nothing came; None: nothing did since the collector started.
    known_templates, missing_templates
        Those announced last, and those that Data Sets wait for.
    unknown_elements
        Of its templates, as `collector.raw_elements` names them in words.
    totals
        What it says that it sent, beside what came.
    implausible
        Records that claimed more than any interface carries.
    kernel_drops
        Datagrams that this machine's kernel dropped, of whatever exporter.
    """

    address: str
    time: float
    running: bool
    silent_seconds: float | None
    sampling: Json
    waiting_octets: int
    sessions: tuple[SessionHealth, ...]
    known_templates: tuple[Json, ...]
    missing_templates: tuple[Json, ...]
    unknown_elements: tuple[str, ...]
    totals: tuple[Json, ...]
    implausible: int
    kernel_drops: int

    @property
    def lost_percent(self) -> float:
        """The largest share that any session lost."""
        return max((session.lost_percent or 0.0 for session in self.sessions), default=0.0)

    @property
    def skew_seconds(self) -> float:
        """The largest clock skew of the sessions that are heard."""
        skews = [s.clock_skew_seconds for s in self.sessions if s.state != "unheard"]
        return max(skews, key=abs, default=0.0)


def exporter_health(
    address: str, status: Mapping[str, Any], settings: Settings, now: float
) -> ExporterHealth | None:
    """Return how an exporter is; None when the collector does not know it.

    Parameters
    ----------
    now
        Seconds since 1970.
    """
    exporters = mapping(status.get("exporters"))
    if address not in exporters:
        return None
    rows = exporter_rows({**status, "exporters": {address: exporters[address]}}, settings)
    if not rows:
        return None
    facts = mapping(exporters[address])
    time_ms = number(status, "time_ms")
    running = is_current(status, now)
    last_ms = max((row.last_seen_ms or 0 for row in rows), default=0)
    # While it runs, silence goes on after the figures were written.
    until = now if running else time_ms / 1000
    return ExporterHealth(
        address,
        time_ms / 1000,
        running,
        silent_seconds=max(until - last_ms / 1000, 0.0) if last_ms else None,
        sampling=exporter_sampling(address, facts, settings),
        waiting_octets=int(number(facts, "waiting_octets")),
        sessions=tuple(_sessions(rows, facts, status)),
        known_templates=tuple(_known_templates(rows, facts, time_ms)),
        missing_templates=tuple(_missing_template(one) for one in _list(facts, "missing")),
        unknown_elements=_texts(facts.get("unknown_elements")),
        totals=tuple(_totals(one) for one in _entries(facts.get("totals"))),
        implausible=int(number(facts, "implausible")),
        kernel_drops=int(number(status, "kernel_drops")),
    )


def _sessions(
    rows: list[ExporterRow], facts: Json, status: Mapping[str, Any]
) -> Iterator[SessionHealth]:
    sessions = mapping(facts.get("sessions"))
    for row in rows:
        # An exporter without sessions is known from sequence numbers only, which are its own.
        yield _session(row, mapping(sessions.get(row.session)) or facts, status)


def _session(row: ExporterRow, facts: Json, status: Mapping[str, Any]) -> SessionHealth:
    since_ms = max(number(status, "started_ms"), number(facts, "first_seen_ms"))
    oldest_ms = number(facts, "templates_oldest_ms")
    age_ms = max(number(status, "time_ms") - oldest_ms, 0)
    return SessionHealth(
        *(row.port, row.state, row.protocol),
        since=_seconds(since_ms) if row.state != "unheard" else None,
        last_seen=_seconds(row.last_seen_ms or 0),
        flows_per_second=row.flows_per_second,
        lost=row.lost,
        received=row.received,
        lost_unit=_UNITS.get(row.protocol, "records"),
        lost_percent=row.lost_percent,
        late=int(max(number(facts, "late"), 0)),
        restarts=int(max(number(facts, "restarts"), 0)),
        last_restart=_seconds(number(facts, "restart_ms")),
        templates=row.templates,
        template_age_seconds=age_ms / 1000 if oldest_ms else None,
        waiting_sets=row.waiting,
        sampling=row.sampling,
        sampling_source=row.sampling_source,
        last_rate=number(facts, "sampling_rate") or None,
        clock_skew_seconds=number(facts, "clock_skew_ms") / 1000,
        active_timeout_seconds=_seconds(number(facts, "longest_usual_ms")),
        octets=int(number(facts, "message_octets")),
        speaks_for=row.named,
        transport=row.transport,
    )


def _known_templates(rows: list[ExporterRow], facts: Json, time_ms: float) -> Iterator[Json]:
    """Yield templates, those announced last first.

    Of an exporter that sends from another port since it restarted, the older ones are no news.
    """
    seen: set[tuple[int, int]] = set()
    is_one = all(row.port is None for row in rows)
    for one in _list(facts, "known"):
        template = _known_template(one, time_ms)
        key = (template["domain"], template["id"])
        if is_one and key in seen:
            continue
        seen.add(key)
        yield template


def _known_template(facts: Json, time_ms: float) -> Json:
    announced_ms = number(facts, "announced_ms")
    return {
        **_scope(facts),
        "options": facts.get("options") is True,
        "fields": int(number(facts, "fields")),
        "age_seconds": max(time_ms - announced_ms, 0) / 1000,
    }


def _missing_template(facts: Json) -> Json:
    return {
        **_scope(facts),
        "sets": int(number(facts, "sets")),
        "octets": int(number(facts, "octets")),
        "since": number(facts, "since_ms") / 1000,
    }


def _scope(facts: Json) -> Json:
    return {name: int(number(facts, name)) for name in ("port", "domain", "id")}


def _totals(facts: Json) -> Json:
    """Return what was sent, what came and what is missing between two reports of an exporter."""
    scope = {name: int(number(facts, name)) for name in ("port", "domain", "version")}
    pairs = zip(_TOTALS, _numbers(facts.get("sent")), _numbers(facts.get("received")), strict=True)
    return {
        **scope,
        "since": number(facts, "since_ms") / 1000,
        "until": number(facts, "reported_ms") / 1000,
        **{
            name: {"sent": sent, "received": received or 0, "missing": sent - (received or 0)}
            for name, sent, received in pairs
            if sent is not None
        },
    }


def _numbers(value: object) -> list[int | None]:
    values = value if isinstance(value, list) and len(value) == len(_TOTALS) else [None, None, None]
    return [one if type(one) is int else None for one in values]


def _list(facts: Json, which: str) -> list[Json]:
    return _entries(facts.get(f"{which}_templates"))


def _entries(value: object) -> list[Json]:
    return [mapping(one) for one in value] if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _seconds(time_ms: float) -> float | None:
    return time_ms / 1000 if time_ms else None
