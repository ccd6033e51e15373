"""How nfacctd's plugin `print` lays out rows: columns by format, their order, names and widths.

Measured with nfacctd 1.7.7; the orders of CSV and JSON differ.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.plugins.pmacct.configuration.aggregates import Kind
from appliance.plugins.pmacct.tables.plan import STAMPS, ColumnPlan, TablePlan
from appliance.plugins.pmacct.tables.texts import TextColumns
from appliance.plugins.pmacct.tables.time_format import with_fraction

FORMATTED, JSON = "formatted", "json"
EVENTS = "event_"
"""Before the name of a format: without counters."""

_PACKETS, _FLOWS, _BYTES = ("packets", "PACKETS", 22), ("flows", "FLOWS", 22), ("bytes", "BYTES", 0)
_HEADERS: tuple[tuple[str, str, int], ...] = (
    ("tag", "TAG", 12), ("tag2", "TAG2", 12), ("label", "LABEL", 0), ("class", "CLASS", 18),
    ("src_mac", "SRC_MAC", 19), ("dst_mac", "DST_MAC", 19), ("vlan", "VLAN", 7), ("cos", "COS", 4),
    ("etype", "ETYPE", 7), ("src_as", "SRC_AS", 12), ("dst_as", "DST_AS", 12),
    ("std_comm", "COMMS", 0), ("ext_comm", "ECOMMS", 0), ("lrg_comm", "LCOMMS", 0),
    ("src_std_comm", "SRC_COMMS", 0), ("src_ext_comm", "SRC_ECOMMS", 0),
    ("src_lrg_comm", "SRC_LCOMMS", 0), ("as_path", "AS_PATH", 0), ("src_as_path", "SRC_AS_PATH", 0),
    ("local_pref", "PREF", 9), ("src_local_pref", "SRC_PREF", 9), ("med", "MED", 8),
    ("src_med", "SRC_MED", 8), ("src_roa", "SRC_ROA", 8), ("dst_roa", "DST_ROA", 8),
    ("peer_src_as", "PEER_SRC_AS", 12), ("peer_dst_as", "PEER_DST_AS", 12),
    ("peer_src_ip", "PEER_SRC_IP", 47), ("peer_dst_ip", "PEER_DST_IP", 47),
    ("in_iface", "IN_IFACE", 12), ("out_iface", "OUT_IFACE", 12),
    ("mpls_vpn_rd", "MPLS_VPN_RD", 20), ("mpls_pw_id", "MPLS_PW_ID", 12),
    ("src_host", "SRC_IP", 47), ("src_net", "SRC_NET", 47), ("dst_host", "DST_IP", 47),
    ("dst_net", "DST_NET", 47), ("src_mask", "SRC_MASK", 10), ("dst_mask", "DST_MASK", 10),
    ("src_port", "SRC_PORT", 10), ("dst_port", "DST_PORT", 10), ("tcpflags", "TCP_FLAGS", 11),
    ("proto", "PROTOCOL", 12), ("tos", "TOS", 7), ("sampling_rate", "SAMPLING_RATE", 14),
    ("sampling_direction", "SAMPLING_DIRECTION", 20),
    ("post_nat_src_host", "POST_NAT_SRC_IP", 47), ("post_nat_dst_host", "POST_NAT_DST_IP", 47),
    ("post_nat_src_port", "POST_NAT_SRC_PORT", 19), ("post_nat_dst_port", "POST_NAT_DST_PORT", 19),
    ("nat_event", "NAT_EVENT", 10), ("fw_event", "NAT_EVENT", 10),
    ("mpls_label_top", "MPLS_LABEL_TOP", 16), ("mpls_label_bottom", "MPLS_LABEL_BOTTOM", 19),
    ("mpls_stack_depth", "MPLS_STACK_DEPTH", 18), ("vxlan", "VXLAN", 10),
    ("timestamp_start", "TIMESTAMP_START", 31), ("timestamp_end", "TIMESTAMP_END", 31),
    ("timestamp_arrival", "TIMESTAMP_ARRIVAL", 31), ("timestamp_export", "TIMESTAMP_EXPORT", 31),
    ("timestamp_min", "TIMESTAMP_MIN", 31), ("timestamp_max", "TIMESTAMP_MAX", 31),
    ("export_proto_seqno", "EXPORT_PROTO_SEQNO", 20),
    ("export_proto_version", "EXPORT_PROTO_VERSION", 22),
    ("export_proto_sysid", "EXPORT_PROTO_SYSID", 20),
)  # fmt: skip
_JSON_ORDER = (
    "tag", "tag2", "label", "class", "src_mac", "dst_mac", "vlan", "cos", "etype", "src_as",
    "dst_as", "std_comm", "ext_comm", "lrg_comm", "as_path", "local_pref", "med", "dst_roa",
    "peer_src_as", "peer_dst_as", "peer_src_ip", "peer_dst_ip", "src_std_comm", "src_ext_comm",
    "src_lrg_comm", "src_as_path", "src_local_pref", "src_med", "src_roa", "in_iface", "out_iface",
    "mpls_vpn_rd", "mpls_pw_id", "src_host", "src_net", "dst_host", "dst_net", "src_mask",
    "dst_mask", "src_port", "dst_port", "tcpflags", "proto", "tos", "sampling_rate",
    "sampling_direction", "post_nat_src_host", "post_nat_dst_host", "post_nat_src_port",
    "post_nat_dst_port", "nat_event", "fw_event", "mpls_label_top", "mpls_label_bottom",
    "mpls_stack_depth", "vxlan", "timestamp_start", "timestamp_end", "timestamp_arrival",
    "timestamp_min", "timestamp_max", "export_proto_seqno", "export_proto_version",
    "export_proto_sysid", "timestamp_export",
)  # fmt: skip
_JSON_NAMES = {"class": "class", "fw_event": "nat_event"}
"""Primitives that are not called there as their columns are in SQL."""

_DIGITS = {1: 3, 2: 5, 4: 10, 8: 20}
_ADDRESS_LETTERS, _MAC_LETTERS = 45, 17
_LAST = 10_000

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the output.

    Attributes
    ----------
    name
        In the columns of a purge.
    header
        Above it, or its key in JSON.
    width
        Letters of its values in `formatted`, 0 for none.
    """

    name: str
    header: str
    width: int

    @property
    def header_width(self) -> int:
        """Letters of its header in `formatted`."""
        return self.width - (self.header == "SAMPLING_DIRECTION")


def fields_of(plan: TablePlan, form: str) -> list[Field]:
    """Return the columns of a format in their order."""
    if form == JSON:
        order = {name: place for place, name in enumerate(_JSON_ORDER)}
    else:
        order = {name: place for place, (name, _, _) in enumerate(_HEADERS)}
    known = {name: (header, width) for name, header, width in _HEADERS}

    def place(column: ColumnPlan) -> int:
        return _LAST if column.built_in is None else order.get(column.built_in.name, _LAST - 1)

    found = []
    for column in sorted(plan.columns, key=place):
        name = column.built_in.name if column.built_in is not None else column.name
        header, width = known.get(name, (name.upper(), len(name) + 2))
        if column.built_in is None:
            header, width = column.name, _custom_width(column)
        if form == JSON:
            header = _JSON_NAMES.get(name, column.name)
        if column.kind is not Kind.FLOWS:
            found.append(Field(column.name, header, width))
    counted = () if form.startswith(EVENTS) else _counters(plan, form)
    return [*found, *(Field(*entry) for entry in counted)]


def lines(columns: TextColumns, plan: TablePlan, form: str, separator: str) -> Iterator[str]:
    """Yield the lines of some rows, the header not among them."""
    fields = fields_of(plan, form)
    texts = _join_times(columns, plan)
    rows = zip(*(texts[field.name] for field in fields), strict=True)
    if form == JSON:
        yield from _json_lines(rows, fields, plan)
        return
    write = _writer([field.width for field in fields], form, separator)
    empty = _no_addresses(plan) if form.endswith(FORMATTED) else {}
    places = [place for place, field in enumerate(fields) if field.name in empty]
    for row in rows:
        values = list(row)
        for place in places:
            values[place] = values[place] or "::"
        yield write(values)


def header(plan: TablePlan, form: str, separator: str) -> str:
    """Return the line above the rows; JSON has none."""
    if form == JSON:
        return ""
    fields = fields_of(plan, form)
    widths = [field.header_width for field in fields]
    return _writer(widths, form, separator)([field.header for field in fields])


def opening(form: str, plugin: str) -> str:
    """Return the marker before the rows of a purge (`print_markers`)."""
    if form != JSON:
        return f"--START ({os.getpid()})--"
    return _dump({"event_type": "purge_init", "writer_id": f"{plugin}/{os.getpid()}"})


def closing(form: str, plugin: str, n_rows: int) -> str:
    """Return the marker after the rows of a purge."""
    if form != JSON:
        return f"--END ({os.getpid()})--"
    told = {"event_type": "purge_close", "writer_id": f"{plugin}/{os.getpid()}"}
    return _dump(told | {"purged_entries": n_rows, "total_entries": n_rows, "duration": 0})


def _counters(plan: TablePlan, form: str) -> list[tuple[str, str, int]]:
    flows = [_FLOWS] if plan.has_flows else []
    if form != JSON:
        return [_PACKETS, *flows, _BYTES]
    stamps = STAMPS if plan.history is not None else ()
    names = (*stamps, *(name for name, _, _ in flows), "packets", "bytes")
    return [(name, name, 0) for name in names]


def _custom_width(column: ColumnPlan) -> int:
    custom = column.custom
    length = custom.length or 0 if custom is not None else 0
    letters = {
        "u_int": _DIGITS.get(length, 0),
        "raw": length * 3,
        "hex": length * 2 + 2,
        "ip": _ADDRESS_LETTERS,
        "mac": _MAC_LETTERS,
    }.get(custom.semantics if custom is not None else "", length)
    return max(letters, len(column.name)) + 2


def _writer(widths: Sequence[int], form: str, separator: str) -> Callable[[Sequence[Any]], str]:
    if not form.endswith(FORMATTED):
        return lambda row: separator.join(map(str, row))

    def pad_row(row: Sequence[Any]) -> str:
        cells = (_cell(value, width) for value, width in zip(row, widths, strict=True))
        return "".join(cells)

    return pad_row


def _cell(value: Any, width: int) -> str:
    """Pad a value; what is too long for its column is set off by a blank nevertheless."""
    return f"{value!s:<{width - 1}} " if width else str(value)


def _json_lines(rows: Iterator[Row], fields: Sequence[Field], plan: TablePlan) -> Iterator[str]:
    as_text = {column.name for column in plan.columns if column.kind in (Kind.CUSTOM, Kind.FLAGS)}
    as_text.update(STAMPS)
    names = [field.header for field in fields]
    texts = [place for place, field in enumerate(fields) if field.name in as_text]
    for row in rows:
        values = list(row)
        for place in texts:
            values[place] = str(values[place])
        yield _dump({"event_type": "purge", **dict(zip(names, values, strict=True))})


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _no_addresses(plan: TablePlan) -> set[str]:
    return {column.name for column in plan.columns if column.kind is Kind.ADDRESS}


def _join_times(columns: TextColumns, plan: TablePlan) -> dict[str, list[Any]]:
    """Return columns as lists, a time with its microseconds behind it."""
    times = {column.name for column in plan.columns if column.kind is Kind.TIME}
    found = {name: column.to_pylist() for name, column in columns.items()}
    for name in times:
        rest = found.pop(f"{name}_residual", [0] * len(found[name]))
        found[name] = [with_fraction(*pair) for pair in zip(found[name], rest, strict=True)]
    return found
