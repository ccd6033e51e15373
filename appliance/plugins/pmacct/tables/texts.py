"""From aggregates to rows as they are written: addresses, protocols, times as text.

Everything is done on whole Arrow columns, or once for each distinct value.
"""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.plugins.pmacct.configuration.aggregates import BUILT_IN, STITCHED, Kind
from appliance.plugins.pmacct.tables.aggregation import (
    BIN,
    EARLIEST,
    FLAG_BITS,
    FLOWS,
    LATEST,
    OCTETS,
    PACKETS,
)
from appliance.plugins.pmacct.tables.plan import STAMPS, ColumnPlan, TablePlan
from appliance.plugins.pmacct.tables.time_format import TimeFormat

PROTOCOLS = {
    1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 6: "tcp", 8: "egp", 9: "igp", 17: "udp",
    18: "mux", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre", 50: "esp",
    51: "ah", 55: "mobile", 56: "tlsp", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts",
    80: "iso-ip", 83: "vines", 88: "eigrp", 89: "ospf", 91: "larp", 93: "ax.25", 94: "ipip",
    98: "encap", 102: "pnni", 103: "pim", 108: "IPcomp", 111: "ipx-in-ip", 112: "vrrp",
    115: "l2tp", 124: "isis", 132: "sctp", 133: "fc",
}  # fmt: skip
"""The names that nfacctd has; other protocols are numbers."""

_V4_PREFIX = 0xFFFF
_DECIMAL = pa.array([str(n) for n in range(256)])
_HEX = pa.array([f"{n:02x}" for n in range(256)])
_PROTOCOL_TEXTS = pa.array([PROTOCOLS.get(n, str(n)) for n in range(256)])

TextColumns = dict[str, Any]


def text_columns(table: Any, plan: TablePlan, now: int) -> TextColumns:
    """Return the columns of a table's rows by their SQL names, in the order of the table."""
    columns: TextColumns = {}
    keys = {column.name: f"k{place}" for place, column in enumerate(plan.keys)}
    for column in plan.columns:
        if column.filler is not None:
            columns[column.name] = pa.repeat(pa.scalar(column.filler), len(table))
        elif column.kind is Kind.FLAGS:
            columns[column.name] = _flags(table)
        elif column.built_in in STITCHED:
            extreme = table[EARLIEST if column.built_in is STITCHED[0] else LATEST].to_numpy()
            # `print` of nfacctd knows no whole seconds of these.
            whole = plan.whole_seconds and plan.database is not None
            columns.update(_times(column.name, extreme, plan.times, whole))
        elif column.kind is not Kind.FLOWS:
            columns.update(_column_texts(table, column, keys[column.name], plan))
    columns["packets"], columns["bytes"] = table[PACKETS], table[OCTETS]
    for column in plan.columns:
        if column.kind is Kind.FLOWS and column.filler is None:
            columns[column.name] = table[FLOWS]
    if plan.history is not None:
        inserted, updated = STAMPS
        columns[inserted] = text_times(table[BIN].to_numpy(), plan.times)
        columns[updated] = pa.repeat(pa.scalar(plan.times.write(now)), len(table))
    return {name: _whole(column) for name, column in columns.items()}


def text_times(seconds: Any, times: TimeFormat) -> Any:
    """Write moments: int64 seconds since 1970 as they are, or as text."""
    column = pa.array(seconds, pa.int64())
    if times.numbers:
        return column
    encoded = column.dictionary_encode()
    values = [times.write(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)


def address_texts(hi: Any, lo: Any) -> Any:
    """Write addresses given by their halves; no address is an empty text."""
    v4 = (hi == 0) & (lo >> np.uint64(32) == _V4_PREFIX)
    if v4.all():
        return _v4_texts(lo)
    texts = np.empty(len(hi), object)
    texts[v4] = _v4_texts(lo[v4]).to_numpy(zero_copy_only=False)
    rest = np.flatnonzero(~v4)
    packed = np.column_stack((hi[rest], lo[rest])).astype(">u8")
    encoded = pa.array([row.tobytes() for row in packed], pa.binary()).dictionary_encode()
    values = np.array([_v6_text(octets) for octets in encoded.dictionary.to_pylist()], object)
    texts[rest] = values[encoded.indices.to_numpy()]
    return pa.array(texts, pa.string())


def _v6_text(octets: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, octets) if any(octets) else ""


def _v4_texts(lo: Any) -> Any:
    encoded = pa.array(lo).dictionary_encode()
    values = encoded.dictionary.to_numpy()
    parts = [_DECIMAL.take(pa.array((values >> np.uint64(s)) & 0xFF)) for s in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*parts, ".").take(encoded.indices)


def _mac_texts(values: Any) -> Any:
    encoded = pa.array(values).dictionary_encode()
    numbers = encoded.dictionary.to_numpy()
    parts = [_HEX.take(pa.array((numbers >> np.uint64(s)) & 0xFF)) for s in range(40, -1, -8)]
    return pc.binary_join_element_wise(*parts, ":").take(encoded.indices)


def _column_texts(table: Any, column: ColumnPlan, key: str, plan: TablePlan) -> TextColumns:
    if column.kind in (Kind.ADDRESS, Kind.NET):
        hi, lo = (table[f"{key}{half}"].to_numpy() for half in ("hi", "lo"))
        texts = address_texts(hi, lo)
        # No peer is 0.0.0.0 in nfacctd's tables, and empty in what it prints.
        is_peer = column.built_in is BUILT_IN["peer_dst_ip"] and plan.database is not None
        if column.kind is Kind.NET or is_peer:
            nothing = "::" if column.kind is Kind.NET else "0.0.0.0"  # noqa: S104 - no address
            texts = pc.if_else(pc.equal(texts, ""), nothing, texts)
        return {column.name: texts}
    values = table[key]
    if column.kind is Kind.MAC:
        return {column.name: _mac_texts(values.to_numpy())}
    if column.kind is Kind.DIRECTION:
        return {column.name: pa.array(["i", "e", "u"]).take(values.combine_chunks())}
    if column.kind is Kind.PROTOCOL and not plan.numeric_protocols:
        return {column.name: _PROTOCOL_TEXTS.take(values.combine_chunks())}
    if column.kind is Kind.TIME:
        milliseconds = values.to_numpy().astype(np.int64)
        return _times(column.name, milliseconds, plan.times, plan.whole_seconds)
    return {column.name: values}


def _times(name: str, milliseconds: Any, times: TimeFormat, whole_seconds: bool) -> TextColumns:
    columns = {name: text_times(milliseconds // 1000, times)}
    if not whole_seconds:
        columns[f"{name}_residual"] = pa.array(milliseconds % 1000 * 1000)
    return columns


def _flags(table: Any) -> Any:
    columns = [table[name].to_numpy().astype(np.int64) << n for n, name in enumerate(FLAG_BITS)]
    return pa.array(sum(columns, np.zeros(len(table), np.int64)))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
