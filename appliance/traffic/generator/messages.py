"""Flows as columns into export datagrams, whole arrays at a time: NetFlow v5, v9 and IPFIX.

A writer keeps what an exporter keeps: its sequence number, when it booted, and when it last told
its templates. Times go out as whole seconds of uptime, so that no fraction is lost between the two
clocks of a v5 or v9 header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.traffic.generator import layouts
from appliance.traffic.generator.layouts import Layout
from appliance.traffic.generator.profiles import INTERFACES, SERVICES, ExporterProfile
from appliance.traffic.generator.traffic import SAMPLER_ID, Columns

MAX_V5_SAMPLING = (1 << 14) - 1
_V5_SYSTEMATIC = 1 << 14
_WORD = 1 << 32

_FLOW_COUNTED = ("packets", "octets")


@dataclass(frozen=True, slots=True)
class Datagrams:
    """Export datagrams, one a row.

    Attributes
    ----------
    octets
        uint8, shape (n, stride); row i holds datagram i in its first `lengths[i]` octets.
    lengths
        int64, shape (n,).
    option_records
        Options data records in them.
    """

    octets: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    option_records: int = 0


class Writer(Protocol):
    """Turns columns of flows into the datagrams of one exporter."""

    def announcements(self, export_ms: int) -> Datagrams | None:
        """Return templates and options, or None for a protocol that has neither."""
        ...

    def flows(self, columns: Columns, n: int, version: int, export_ms: int) -> Datagrams:
        """Return n flows of an IP version."""
        ...


def writer_for(profile: ExporterProfile, boot_ms: int) -> Writer:
    """Return the writer for a profile's protocol."""
    if profile.protocol == "v5":
        return V5Writer(profile, boot_ms)
    if profile.protocol == "v9":
        return V9Writer(profile, boot_ms)
    return IpfixWriter(profile, boot_ms)


class V5Writer:
    """NetFlow v5: 30 flows to a datagram, sampling in the header, no templates."""

    def __init__(self, profile: ExporterProfile, boot_ms: int) -> None:
        self._profile, self._boot_ms = profile, boot_ms
        self._sequence = 0

    def announcements(self, export_ms: int) -> Datagrams | None:
        """Return None: v5 has no templates."""
        return None

    def flows(self, columns: Columns, n: int, version: int, export_ms: int) -> Datagrams:
        """Return n IPv4 flows; see `Writer.flows`."""
        header, per_datagram = layouts.V5_HEADER, layouts.V5_RECORDS_PER_DATAGRAM
        body = _uptimes(columns, export_ms, self._boot_ms)
        octets, counts = _lay_out(body, n, layouts.V5_RECORD, header.itemsize, per_datagram)
        heads = _view(octets, header, 0)
        heads["version"], heads["count"] = 5, counts
        heads["uptime_ms"], heads["seconds"] = export_ms - self._boot_ms, export_ms // 1000
        # The sequence counts flows before this datagram.
        heads["sequence"] = (self._sequence + np.cumsum(counts) - counts) % _WORD
        heads["engine_id"] = self._profile.observation_domain_id
        if self._profile.sampling > 1:
            heads["sampling"] = _V5_SYSTEMATIC | min(self._profile.sampling, MAX_V5_SAMPLING)
        self._sequence += n
        return Datagrams(octets, header.itemsize + counts * layouts.V5_RECORD.itemsize)


class V9Writer:
    """NetFlow v9: the sequence counts datagrams."""

    def __init__(self, profile: ExporterProfile, boot_ms: int) -> None:
        self._profile, self._boot_ms = profile, boot_ms
        sampled = profile.sampling > 1
        self._layouts = {v: layouts.v9_layout(v, sampled=sampled) for v in (4, 6)}
        self._sequence = 0

    def announcements(self, export_ms: int) -> Datagrams:
        """Return the templates, and the options that the profile has."""
        sets = [_template_set(0, 9, list(self._layouts.values()))]
        tables = [_interface_table(layouts.V9_INTERFACES)]
        if self._profile.nbar:
            tables.append(_application_table(layouts.V9_APPLICATIONS))
        if self._profile.sampling > 1:
            tables.append(_sampler_table(layouts.V9_SAMPLERS, self._profile.sampling))
        sets += [part for layout, rows in tables for part in _option_sets(1, 9, layout, rows)]
        return self._with_headers(_pack_sets(sets, layouts.V9_HEADER.itemsize), export_ms)

    def _with_headers(self, parts: Sequence[_Sets], export_ms: int) -> Datagrams:
        counts = np.array([part.template_records + part.option_records for part in parts])
        octets, lengths = _rows([part.octets for part in parts], layouts.V9_HEADER.itemsize)
        self._head(octets, counts, export_ms)
        return Datagrams(octets, lengths, sum(part.option_records for part in parts))

    def flows(self, columns: Columns, n: int, version: int, export_ms: int) -> Datagrams:
        """Return n flows of an IP version; see `Writer.flows`."""
        body = _uptimes(columns, export_ms, self._boot_ms)
        octets, lengths, counts = _data_sets(body, n, self._layouts[version], layouts.V9_HEADER)
        self._head(octets, counts, export_ms)
        return Datagrams(octets, lengths)

    def _head(self, octets: NDArray[np.uint8], counts: NDArray[Any], export_ms: int) -> None:
        heads = _view(octets, layouts.V9_HEADER, 0)
        heads["version"], heads["count"] = 9, counts
        heads["uptime_ms"], heads["seconds"] = export_ms - self._boot_ms, export_ms // 1000
        heads["sequence"] = (self._sequence + np.arange(len(octets))) % _WORD
        heads["observation_domain_id"] = self._profile.observation_domain_id
        self._sequence += len(octets)


class IpfixWriter:
    """IPFIX: the sequence counts data records, those of options included."""

    def __init__(self, profile: ExporterProfile, boot_ms: int) -> None:
        self._profile = profile
        sampled = profile.sampling > 1
        self._layouts = {v: layouts.ipfix_layout(v, sampled=sampled) for v in (4, 6)}
        self._sequence = 0

    def announcements(self, export_ms: int) -> Datagrams:
        """Return the templates, and the options that the profile has."""
        sets = [_template_set(2, 10, list(self._layouts.values()))]
        tables = [_interface_table(layouts.IPFIX_INTERFACES)]
        if self._profile.nbar:
            tables.append(_application_table(layouts.IPFIX_APPLICATIONS))
        if self._profile.sampling > 1:
            tables.append(_sampler_table(layouts.IPFIX_SELECTORS, self._profile.sampling))
        sets += [part for layout, rows in tables for part in _option_sets(3, 10, layout, rows)]
        parts = _pack_sets(sets, layouts.IPFIX_HEADER.itemsize)
        octets, lengths = _rows([part.octets for part in parts], layouts.IPFIX_HEADER.itemsize)
        records = np.array([part.option_records for part in parts])
        self._head(octets, lengths, records, export_ms)
        return Datagrams(octets, lengths, int(records.sum()))

    def flows(self, columns: Columns, n: int, version: int, export_ms: int) -> Datagrams:
        """Return n flows of an IP version; see `Writer.flows`."""
        octets, lengths, counts = _data_sets(
            columns, n, self._layouts[version], layouts.IPFIX_HEADER
        )
        self._head(octets, lengths, counts, export_ms)
        return Datagrams(octets, lengths)

    def _head(
        self,
        octets: NDArray[np.uint8],
        lengths: NDArray[np.int64],
        records: NDArray[Any],
        export_ms: int,
    ) -> None:
        heads = _view(octets, layouts.IPFIX_HEADER, 0)
        heads["version"], heads["length"] = 10, lengths
        heads["seconds"] = export_ms // 1000
        heads["sequence"] = (self._sequence + np.cumsum(records) - records) % _WORD
        heads["observation_domain_id"] = self._profile.observation_domain_id
        self._sequence += int(records.sum())


@dataclass(frozen=True, slots=True)
class _Sets:
    """Whole Sets that share a datagram, and what they hold."""

    octets: bytes
    template_records: int = 0
    option_records: int = 0


def _uptimes(columns: Columns, export_ms: int, boot_ms: int) -> Columns:
    """Add flow times as milliseconds since the exporter booted."""
    return columns | {
        "start_uptime": columns["start_ms"] - boot_ms,
        "end_uptime": columns["end_ms"] - boot_ms,
    }


def _view(octets: NDArray[np.uint8], dtype: np.dtype[Any], offset: int) -> NDArray[Any]:
    """Return one structure of each row, at an offset, as a view."""
    strides = (octets.strides[0],)
    return np.ndarray((len(octets),), dtype, octets, offset, strides)


def _lay_out(
    columns: Columns, n: int, record: np.dtype[Any], front: int, per_datagram: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Write records into rows behind `front` octets; return the rows and the records in each."""
    full, left = divmod(n, per_datagram)
    rows = full + (left > 0)
    stride = -(-(front + per_datagram * record.itemsize) // 4) * 4
    octets = np.zeros((rows, stride), np.uint8)
    shape, strides = (rows, per_datagram), (stride, record.itemsize)
    records = np.ndarray(shape, record, octets, front, strides)
    for name in record.names or ():
        column = columns.get(name)
        if column is None:
            continue
        wide = record[name].shape
        if column.shape == wide:
            records[name] = column
            continue
        whole = column[: full * per_datagram]
        records[name][:full] = whole.reshape(full, per_datagram, *wide)
        records[name][full:, :left] = column[full * per_datagram :]
    counts = np.full(rows, per_datagram, np.int64)
    if left:
        counts[-1] = left
    return octets, counts


def _data_sets(
    columns: Columns, n: int, layout: Layout, header: np.dtype[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Write records into one Data Set a row; return rows, their lengths and records in each."""
    front = header.itemsize + layouts.SET_HEADER_OCTETS
    per_datagram = layout.records_per_datagram(header)
    octets, counts = _lay_out(columns, n, layout.dtype, front, per_datagram)
    set_octets = -(-(layouts.SET_HEADER_OCTETS + counts * layout.dtype.itemsize) // 4) * 4
    heads = _view(octets, np.dtype([("id", ">u2"), ("length", ">u2")]), header.itemsize)
    heads["id"], heads["length"] = layout.template_id, set_octets
    return octets, header.itemsize + set_octets, counts


def _set(set_id: int, body: bytes) -> bytes:
    padding = bytes(-len(body) % 4)
    return struct.pack(">HH", set_id, 4 + len(body) + len(padding)) + body + padding


def _template_set(set_id: int, version: int, templates: Sequence[Layout]) -> _Sets:
    records = [layout.template_record(version) for layout in templates]
    return _Sets(_set(set_id, b"".join(records)), template_records=len(records))


def _option_sets(
    set_id: int, version: int, layout: Layout, rows: Sequence[tuple[Any, ...]]
) -> Iterator[_Sets]:
    """Yield an options template and Data Sets of a few records each."""
    yield _Sets(_set(set_id, layout.template_record(version)), template_records=1)
    step = 1000 // layout.dtype.itemsize
    for first in range(0, len(rows), step):
        records = np.array(list(rows[first : first + step]), layout.dtype)
        octets = _set(layout.template_id, records.tobytes())
        yield _Sets(octets, option_records=len(records))


def _pack_sets(sets: Sequence[_Sets], header_octets: int) -> list[_Sets]:
    """Put as many Sets in a datagram as fit, in order."""
    packed = [_Sets(b"")]
    for part in sets:
        last = packed[-1]
        together = header_octets + len(last.octets) + len(part.octets)
        if together > layouts.MAX_PAYLOAD_OCTETS:
            packed.append(part)
            continue
        packed[-1] = _Sets(
            last.octets + part.octets,
            last.template_records + part.template_records,
            last.option_records + part.option_records,
        )
    return packed


def _rows(
    bodies: Sequence[bytes], header_octets: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Lay bodies into rows, with room for the header before them."""
    lengths = np.array([header_octets + len(body) for body in bodies], np.int64)
    octets = np.zeros((len(bodies), int(lengths.max())), np.uint8)
    for row, body in enumerate(bodies):
        octets[row, header_octets : lengths[row]] = np.frombuffer(body, np.uint8)
    return octets, lengths


def _interface_table(layout: Layout) -> tuple[Layout, list[tuple[Any, ...]]]:
    scope = (0,) if "system" in (layout.dtype.names or ()) else ()
    rows = [
        (*scope, index, name.encode(), description.encode())
        for index, (name, description) in enumerate(INTERFACES, 1)
    ]
    return layout, rows


def _application_table(layout: Layout) -> tuple[Layout, list[tuple[Any, ...]]]:
    scope = (0,) if "system" in (layout.dtype.names or ()) else ()
    rows = [
        (*scope, service.application_id, service.name.encode(), service.description.encode())
        for service in SERVICES
    ]
    return layout, rows


def _sampler_table(layout: Layout, sampling: int) -> tuple[Layout, list[tuple[Any, ...]]]:
    """One in `sampling` packets: v9 as random sampler of mode 2, IPFIX as systematic selector 1."""
    if "system" in (layout.dtype.names or ()):
        return layout, [(0, SAMPLER_ID, 2, sampling)]
    return layout, [(SAMPLER_ID, 1, 1, sampling - 1)]
