"""Datagrams octet by octet, and what the registered decoders make of them.

The builders know nothing of the appliance: they are the standards' layouts in `struct`'s words. The
other half runs the decoders that the plugins register, as the collector does.
"""

from __future__ import annotations

import functools
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.app import App, build_app
from appliance.collector.counter_table import CounterTable
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.contracts import ExportedCounters
from appliance.decoding.messages.block import Datagram, block_of
from appliance.decoding.results import DecodeOptions
from appliance.flows import COLUMNS, FlowBatch, address_halves, address_text
from appliance.guard import GuardedDecoder
from appliance.plugin_manager import build_plugin_manager
from appliance.settings.file import SettingsFile

EXPORTER = "192.0.2.10"
EXPORT_SECONDS = 1_700_000_000
EXPORT_MS = EXPORT_SECONDS * 1000
RECEIVED_MS = EXPORT_MS + 250
UPTIME_MS = 3_600_000
VARIABLE = 65535

# Octets of datagrams.


def number(value: int, octets: int) -> bytes:
    return value.to_bytes(octets, "big")


def v4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def v1_record(source: str = "10.0.0.1", *, octets: int = 300, last: int = UPTIME_MS) -> bytes:
    ends = v4(source) + v4("10.0.0.2") + v4("10.0.0.254")
    counters = struct.pack(">HHIIII", 1, 2, 3, octets, last - 1000, last)
    return ends + counters + struct.pack(">HHxxBBB7x", 1024, 80, 6, 0x20, 0x18)


def v1(*records: bytes, count: int | None = None) -> bytes:
    n = len(records) if count is None else count
    return struct.pack(">HHIII", 1, n, UPTIME_MS, EXPORT_SECONDS, 0) + b"".join(records)


def v7_record(source: str = "10.0.0.1", *, octets: int = 300, last: int = UPTIME_MS) -> bytes:
    ends = v4(source) + v4("10.0.0.2") + v4("10.0.0.254")
    counters = struct.pack(">HHIIII", 1, 2, 3, octets, last - 1000, last)
    rest = struct.pack(">HHxBBB", 1024, 80, 0x18, 6, 0x20)
    return ends + counters + rest + struct.pack(">HHBBxx", 64500, 64501, 24, 16) + v4("10.0.0.253")


def v7(*records: bytes, count: int | None = None, sequence: int = 0) -> bytes:
    n = len(records) if count is None else count
    header = struct.pack(">HHIIII4x", 7, n, UPTIME_MS, EXPORT_SECONDS, 0, sequence)
    return header + b"".join(records)


def v5_record(
    source: str = "10.0.0.1",
    destination: str = "10.0.0.2",
    *,
    next_hop: str = "10.0.0.254",
    interfaces: tuple[int, int] = (1, 2),
    packets: int = 3,
    octets: int = 300,
    first: int = UPTIME_MS - 2000,
    last: int = UPTIME_MS - 1000,
    ports: tuple[int, int] = (1024, 80),
    flags: int = 0x18,
    protocol: int = 6,
    tos: int = 0,
    systems: tuple[int, int] = (64500, 64501),
    masks: tuple[int, int] = (24, 16),
) -> bytes:
    ends = v4(source) + v4(destination) + v4(next_hop)
    counters = struct.pack(">HHIIII", *interfaces, packets, octets, first, last)
    rest = struct.pack(">HHxBBB", *ports, flags, protocol, tos)
    return ends + counters + rest + struct.pack(">HHBBxx", *systems, *masks)


def v5(
    *records: bytes,
    count: int | None = None,
    uptime: int = UPTIME_MS,
    seconds: int = EXPORT_SECONDS,
    nanoseconds: int = 0,
    sequence: int = 0,
    engine: tuple[int, int] = (0, 0),
    sampling: int = 0,
) -> bytes:
    n = len(records) if count is None else count
    head = struct.pack(">HHIIII", 5, n, uptime, seconds, nanoseconds, sequence)
    return head + struct.pack(">BBH", *engine, sampling) + b"".join(records)


def a_set(number: int, body: bytes, length: int | None = None) -> bytes:
    """Lay a Set, by default with its true length."""
    return struct.pack(">HH", number, len(body) + 4 if length is None else length) + body


def specifier(element: int, length: int, enterprise: int = 0) -> bytes:
    if enterprise:
        return struct.pack(">HHI", element | 0x8000, length, enterprise)
    return struct.pack(">HH", element, length)


def template(number: int, *fields: tuple[int, ...]) -> bytes:
    """Lay a template record: (element, length) or (element, length, enterprise)."""
    return struct.pack(">HH", number, len(fields)) + b"".join(specifier(*f) for f in fields)


def v9_options(
    number: int, scopes: Sequence[tuple[int, int]], fields: Sequence[tuple[int, int]]
) -> bytes:
    """Lay an options template record of v9, which counts octets."""
    head = struct.pack(">HHH", number, 4 * len(scopes), 4 * len(fields))
    return head + b"".join(struct.pack(">HH", *f) for f in (*scopes, *fields))


def ipfix_options(number: int, n_scopes: int, *fields: tuple[int, ...]) -> bytes:
    """Lay an options template record of IPFIX, which counts fields."""
    head = struct.pack(">HHH", number, len(fields), n_scopes)
    return head + b"".join(specifier(*f) for f in fields)


def v9(
    *sets: bytes,
    count: int | None = None,
    uptime: int = UPTIME_MS,
    seconds: int = EXPORT_SECONDS,
    sequence: int = 0,
    domain: int = 0,
) -> bytes:
    n = len(sets) if count is None else count
    return struct.pack(">HHIIII", 9, n, uptime, seconds, sequence, domain) + b"".join(sets)


def ipfix(
    *sets: bytes,
    length: int | None = None,
    seconds: int = EXPORT_SECONDS,
    sequence: int = 0,
    domain: int = 0,
) -> bytes:
    body = b"".join(sets)
    octets = 16 + len(body) if length is None else length
    return struct.pack(">HHIII", 10, octets, seconds, sequence, domain) + body


def variable(value: bytes, long_form: bool = False) -> bytes:
    """Lay a variable-length value (RFC 7011 section 7)."""
    if long_form or len(value) >= 255:
        return b"\xff" + struct.pack(">H", len(value)) + value
    return bytes([len(value)]) + value


class Exporter:
    """Lays messages of v9 or IPFIX with the few Sets that tests need."""

    def __init__(self, version: int) -> None:
        self.version = version

    def __repr__(self) -> str:
        return f"v{self.version}"

    def message(self, *sets: bytes, **header: Any) -> bytes:
        return (v9 if self.version == 9 else ipfix)(*sets, **header)

    def templates(self, *records: bytes) -> bytes:
        return a_set(0 if self.version == 9 else 2, b"".join(records))

    def options_templates(self, *records: bytes) -> bytes:
        return a_set(1 if self.version == 9 else 3, b"".join(records))

    def options(
        self, number: int, scopes: Sequence[tuple[int, int]], fields: Sequence[tuple[int, int]]
    ) -> bytes:
        """Lay an options template record; in v9 the scopes are element numbers of v9's own."""
        if self.version == 9:
            return v9_options(number, scopes, fields)
        return ipfix_options(number, len(scopes), *scopes, *fields)


V9, IPFIX = Exporter(9), Exporter(10)
BASIC = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4))
"""Addresses, ports, protocol, octets, packets."""


def basic(
    source: str = "10.0.0.1",
    destination: str = "10.0.0.2",
    ports: tuple[int, int] = (1024, 80),
    protocol: int = 6,
    octets: int = 300,
    packets: int = 3,
) -> bytes:
    """Lay a record of `BASIC`."""
    rest = struct.pack(">HHBII", *ports, protocol, octets, packets)
    return v4(source) + v4(destination) + rest


# What decoders make of them.


@dataclass
class Decoded:
    """What the decoders made of some datagrams, in the words of users: rows and counters.

    Attributes
    ----------
    rows, options
        Records as dictionaries of every column (addresses as text) that differs from its absent
        value.
    faults
        (reason, detail) pairs.
    interfaces
        What exporters said of counters of their interfaces, the last of each.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    batches: list[FlowBatch] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    interfaces: list[ExportedCounters] = field(default_factory=list)
    states: ExporterStates = field(default_factory=lambda: ExporterStates(ExporterLimits()))

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.rows
        return row

    def column(self, name: str) -> list[Any]:
        return [row.get(name) for row in self.rows]

    def exporter(self, address: str = EXPORTER) -> Any:
        return self.states.exporters[address_halves(address)]

    def names(self, address: str = EXPORTER) -> Any:
        """Return the names that the only session of an exporter told."""
        (session,) = self.exporter(address).sessions.values()
        return session.names

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.faults]


@functools.cache
def an_app() -> App:
    """Return the appliance with its built-in plugins and every setting at its default."""
    return build_app(build_plugin_manager(entry_points=()), SettingsFile(None, Path(), {}))


def decoders(options: DecodeOptions | None = None) -> dict[int, Any]:
    """Return the registered decoders by version, with other options where they take them."""
    app = an_app()
    if options is None:
        return {decoder.version: decoder for decoder in app.decoders}
    return {
        guarded.version: GuardedDecoder(
            guarded.guard.plugin, replace(guarded.decoder, options=options), app.failures
        )
        for guarded in app.decoders
    }


def datagram(
    payload: bytes, exporter: str = EXPORTER, port: int = 2000, received_ms: int = RECEIVED_MS
) -> Datagram:
    return Datagram(payload, *address_halves(exporter), port, received_ms)


def decode(
    *payloads: bytes | Datagram,
    one_by_one: bool = False,
    states: ExporterStates | None = None,
    options: DecodeOptions | None = None,
) -> Decoded:
    """Decode datagrams as one block, or one after the other, as the collector does."""
    found = Decoded()
    if states is not None:
        found.states = states
    given = [p if isinstance(p, Datagram) else datagram(p) for p in payloads]
    sink = _Sink(found)
    pipeline = Pipeline(list(decoders(options).values()), found.states, sink)
    pipeline._log = sink  # type: ignore[assignment]
    pipeline.counters = table = CounterTable(lambda _: True)
    for part in [[one] for one in given] if one_by_one else [given]:
        pipeline.take(block_of(part), part[-1].received_ms)
    found.counts = pipeline.counts + found.states.counts
    found.interfaces = table.due(given[-1].received_ms) if given else []
    assert not an_app().failures.total
    return found


class _Sink:
    """Takes batches and what would be logged."""

    def __init__(self, found: Decoded) -> None:
        self.found = found

    def append(self, batch: FlowBatch) -> None:
        self.found.batches.append(batch)
        (self.found.options if batch.options else self.found.rows).extend(rows_of(batch))

    def info(self, _message: str, reason: str, detail: str, _sender: str) -> None:
        self.found.faults.append((reason, detail))

    def warning(self, *_message: object) -> None:
        """Unsupported versions are counted."""

    def exception(self, *message: object) -> None:
        raise AssertionError(message)


def rows_of(batch: FlowBatch) -> list[dict[str, Any]]:
    """Return a batch's records, columns that differ from their absent value."""
    check_batch(batch)
    columns: dict[str, list[Any]] = {}
    for column in COLUMNS:
        if column.name.endswith("_hi"):
            name = column.name.removesuffix("_hi")
            halves = (batch.column(f"{name}_{half}").tolist() for half in ("hi", "lo"))
            columns[name] = [
                address_text(hi, lo) if hi or lo else None for hi, lo in zip(*halves, strict=True)
            ]
        elif not column.name.endswith("_lo"):
            values = batch.column(column.name).tolist()
            columns[column.name] = [None if value == column.absent else value for value in values]
    for name, values in batch.octets.items():
        columns[name] = [bytes(value) or None for value in values.tolist()]
    return [
        {name: values[row] for name, values in columns.items() if values[row] is not None}
        for row in range(batch.n_records)
    ]


def check_batch(batch: FlowBatch) -> None:
    """Assert what every consumer of batches relies on."""
    names = {column.name: column for column in COLUMNS}
    for name, values in batch.columns.items():
        assert values.shape == (batch.n_records,), name
        assert values.dtype == names[name].dtype, name
    for name, values in batch.octets.items():
        assert values.shape == (batch.n_records,), name
    assert batch.datagrams is not None
    assert len(batch.datagrams) == batch.n_records > 0


def multiset(rows: Iterable[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(sorted(row.items())) for row in rows)


def write_pcap(path: Path, datagrams: Iterable[tuple[int, bytes]]) -> Path:
    """Write (time in seconds, payload) pairs as a capture of datagrams from `EXPORTER`."""
    from tests.traffic.building import ethernet, ipv4, udp

    octets = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for seconds, payload in datagrams:
        frame = ethernet(ipv4(udp(payload, 2000, 2055), EXPORTER))
        octets += struct.pack("<IIII", seconds, 0, len(frame), len(frame)) + frame
    path.write_bytes(octets)
    return path
