"""From rows of the flow log to the key columns of a table, a column at a time.

A key is a numpy array, an Arrow array, or one plain value when it is the same in every row, so
that what does not vary costs nothing. Keys are told apart as they will be written: octets that give
one text are one key. Each key column has one or two arrays (`Keys`), named by its place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.flowlog import Rows
from appliance.flows import COLUMN, UNKNOWN_PROTOCOL, V4_MAPPED, octets_column
from appliance.plugins.pmacct.configuration.aggregates import (
    INITIATOR_PACKETS,
    RESPONDER_OCTETS,
    BuiltIn,
    Kind,
)
from appliance.plugins.pmacct.configuration.primitives import Primitive
from appliance.plugins.pmacct.filters.predicates import PRESENT
from appliance.plugins.pmacct.maps.pre_tag_map import Tags
from appliance.plugins.pmacct.maps.resolution import RESOLVED
from appliance.plugins.pmacct.tables.plan import ColumnPlan, TablePlan

Value = Any
"""An array, or one value for every row."""

Keys = dict[str, Value]
HALVES = ("hi", "lo")
_WITH_PORTS = (1, 6, 17)
_ALL = 2**64 - 1
_NO_VRF, _NO_HEX = "0:0:0", "0"
_UNKNOWN = {"class": "unknown", "src_roa": "u", "dst_roa": "u"}


def source_columns(plan: TablePlan) -> tuple[str, ...]:
    """Return the columns of the flow log that a table is made of."""
    names = ["octet_delta_count", "packet_delta_count", "record_kind", "reverse"]
    names += ["collection_time_milliseconds", "flow_start_milliseconds", "sampling_rate"]
    names += [f"{side}_address_{half}" for side in ("source", "destination") for half in HALVES]
    names += ["delta_flow_count"] if plan.has_flows else []
    names += ["ip_version", "nat_event", "export_protocol_version", "protocol_identifier"]
    if plan.responder_octets:
        names += (octets_column(0, element) for element in (RESPONDER_OCTETS, INITIATOR_PACKETS))
    names += plan.rules.columns if plan.needs_tags else ()
    names += (*plan.selection.columns, *plan.resolution.columns)
    for column in (column for way in plan.ways for column in way.columns):
        names += _sources(column) if column.filler is None else ()
    return tuple(dict.fromkeys(names))


def column_of(rows: Rows, name: str) -> Value:
    """Return a column of the flow log: an array, or one value; absent values are filled in.

    The octets of an element are read as uint64, 0 where they are absent; behind `PRESENT` their
    name asks whether they are there.
    """
    if name.startswith(PRESENT):
        return _presence(rows, name.removeprefix(PRESENT))
    if name not in COLUMN:
        return _octets_number(rows, name)
    if name in rows.constants:
        return rows.constants[name]
    absent = COLUMN[name].absent
    found = rows.arrays.get(name)
    if found is None:
        return absent
    if found.null_count:
        found = found.fill_null(absent)
    return found.to_numpy(zero_copy_only=False)


def _presence(rows: Rows, name: str) -> Value:
    octets = rows.arrays.get(name)
    return False if octets is None else pc.is_valid(octets).to_numpy(zero_copy_only=False)


def _octets_number(rows: Rows, name: str) -> Value:
    octets = rows.arrays.get(name)
    if octets is None:
        return 0
    return _map_octets(octets, lambda value: int.from_bytes(value[-8:], "big"), 0).to_numpy()


def key_columns(rows: Rows, plan: TablePlan, tags: Tags | None) -> Keys:
    """Return the key columns of a table for some rows, which have these tags."""
    keys: Keys = {}
    for place, column in enumerate(plan.keys):
        if column.filler is None:
            keys.update(_READERS[column.kind](rows, column, f"k{place}", plan, tags))
    return keys


def _sources(column: ColumnPlan) -> tuple[str, ...]:
    if column.custom is not None:
        return _custom_octets(column.custom)
    found = _built_in(column)
    if found.elements:
        return tuple(octets_column(0, element) for element in found.elements)
    if column.kind in (Kind.ADDRESS, Kind.NET):
        mask = (found.mask,) if found.mask else ()
        return (*(f"{found.source}_{half}" for half in HALVES), *mask)
    return (found.source,) if found.source in COLUMN else ()


def _custom_octets(custom: Primitive) -> tuple[str, ...]:
    """Return the columns of the element's occurrences."""
    occurrences = range(custom.occurrences)
    return tuple(octets_column(custom.enterprise, custom.element, n) for n in occurrences)


def _occurrence(rows: Rows, custom: Primitive) -> Any:
    """Return the octets of the occurrence that a primitive means; None when there are none.

    It is the one that has its length, else the one in the primitive's place, else the first.
    """
    arrays = [rows.arrays.get(name) for name in _custom_octets(custom)]
    present = [array.cast(pa.binary()) for array in arrays if array is not None]
    if len(arrays) == 1 or not present:
        return arrays[0]
    place = min(custom.repeat, len(present) - 1)
    chosen = pc.coalesce(present[place], present[0])
    fitting = np.zeros(rows.n_rows, np.int64)
    for array in present if custom.length is not None else ():
        fits = pc.fill_null(pc.equal(pc.binary_length(array), custom.length), False)
        fits = fits.to_numpy(zero_copy_only=False)
        is_nth = fits & (fitting == custom.nth_of_length)
        chosen = pc.if_else(pa.array(is_nth), array, chosen)
        fitting += fits
    return chosen


def _built_in(column: ColumnPlan) -> BuiltIn:
    if column.built_in is None:
        raise RuntimeError(f"column {column.name} is no built-in")
    return column.built_in


def _address(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    source = _built_in(column).source
    return {f"{key}{half}": column_of(rows, f"{source}_{half}") for half in HALVES}


def _net(rows: Rows, column: ColumnPlan, key: str, plan: TablePlan, *_: object) -> Keys:
    found = _built_in(column)
    hi, lo = (
        np.atleast_1d(np.asarray(column_of(rows, f"{found.source}_{half}"), np.uint64))
        for half in HALVES
    )
    length = np.atleast_1d(np.asarray(column_of(rows, found.mask), np.int64))
    if plan.resolution.keeps_hosts:
        length = np.where(length == 0, 128, length)
    v4 = (hi == 0) & (lo >> np.uint64(32) == np.uint64(0xFFFF))
    bits = np.clip(np.where(v4, length + 96, length), 0, 128)
    # What has no address is in no family; the network of all IPv6 addresses is `::`.
    none = np.where((hi | lo) == 0, np.uint64(V4_MAPPED), np.uint64(0))
    return {f"{key}hi": hi & _HIGH[bits], f"{key}lo": lo & _LOW[bits] | none}


_HIGH = np.array([((1 << n) - 1) << (128 - n) >> 64 for n in range(129)], np.uint64)
_LOW = np.array([((1 << n) - 1) << (128 - n) & _ALL for n in range(129)], np.uint64)


def _number(rows: Rows, column: ColumnPlan, key: str, plan: TablePlan, *_: object) -> Keys:
    source = _built_in(column).source
    found = column_of(rows, source)
    if source == "sampling_rate":
        if plan.renormalize:
            return {key: np.where(np.asarray(found) >= 1, 1, 0).astype(np.int64)}
        found = np.rint(found).astype(np.int64)
    return {key: found}


def _protocol(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return the protocol; 0 where nothing tells it."""
    found = np.asarray(column_of(rows, _built_in(column).source))
    return {key: np.where(found == UNKNOWN_PROTOCOL, np.uint8(0), found)}


def _port(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return a port; of NetFlow v5 only where the protocol has ports, or is ICMP."""
    found = column_of(rows, _built_in(column).source)
    version = np.asarray(column_of(rows, "export_protocol_version"))
    if not (version == 5).any():
        return {key: found}
    protocol = np.asarray(column_of(rows, "protocol_identifier"))
    return {key: np.where((version == 5) & ~np.isin(protocol, _WITH_PORTS), 0, found)}


def _time(rows: Rows, column: ColumnPlan, key: str, plan: TablePlan, *_: object) -> Keys:
    source = _built_in(column).source
    found = column_of(rows, source)
    # NetFlow v5 counts nanoseconds there, nfacctd and the other versions seconds.
    whole = plan.whole_seconds or source == "export_time_milliseconds"
    return {key: found // 1000 * 1000 if whole else found}


def _direction(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return 0 for what came in, 1 for what went out, 2 for what does not say."""
    return {key: np.minimum(column_of(rows, _built_in(column).source), 2)}


def _tag(rows: Rows, column: ColumnPlan, key: str, plan: TablePlan, tags: Tags | None) -> Keys:
    second = _built_in(column).name == "tag2"
    post_tag = plan.post_tags[second]
    if post_tag is not None or tags is None:
        return {key: post_tag or 0}
    return {key: tags.tag2 if second else tags.tag}


def _label(rows: Rows, column: ColumnPlan, key: str, _plan: TablePlan, tags: Tags | None) -> Keys:
    return {key: pa.array(tags.label_texts).take(pa.array(tags.labels)) if tags else ""}


def _nothing(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    if column.built_in is not None and column.built_in.name in _UNKNOWN:
        return {key: _UNKNOWN[column.built_in.name]}
    return {key: "" if "CHAR" in column.sql_type else 0}


def _octets(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    name = octets_column(0, _built_in(column).elements[0])
    found, resolved = rows.arrays.get(name), rows.arrays.get(RESOLVED + name)
    shift = 4 if column.name == "mpls_label_top" else 0
    own = (
        _map_octets(found, lambda octets: int.from_bytes(octets[:7], "big") >> shift, 0)
        if found is not None
        else pa.scalar(0, pa.uint64())
    )
    if resolved is not None:
        return {key: pc.coalesce(resolved, own)}
    return {key: own if found is not None else 0}


def _label_stack(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return the label at the bottom of the stack (0 where none says that it is), or its depth."""
    bottom, depth = np.zeros(rows.n_rows, np.uint64), np.zeros(rows.n_rows, np.uint64)
    below = np.ones(rows.n_rows, np.bool_)
    for number, element in enumerate(_built_in(column).elements, 1):
        found = rows.arrays.get(octets_column(0, element))
        if found is None:
            continue
        entries = _map_octets(found, lambda octets: int.from_bytes(octets[:3], "big"), 0).to_numpy()
        present = below & pc.is_valid(found).to_numpy(zero_copy_only=False)
        # nfacctd goes by the last field of the layout where no label is the bottom.
        depth[present] = np.where(entries[present] > 0, number, 0)
        # RFC 3032 section 2.1: 20 bits of label, three, and the one that ends the stack.
        last = below & (entries & 1 > 0)
        bottom[last] = entries[last] >> 4
        below &= ~last
    return {key: bottom if column.name == "mpls_label_bottom" else depth}


def _distinguisher(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return the VRF of a flow: by its number, else by its route distinguisher."""
    found: Any = None
    for element in _built_in(column).elements:
        octets = rows.arrays.get(octets_column(0, element))
        if octets is None:
            continue
        write = _distinguisher_text if element == 90 else _vrf_text
        texts = _map_octets(octets, write, "")
        found = texts if found is None else pc.if_else(pc.equal(found, ""), texts, found)
    if found is None:
        return {key: _NO_VRF}
    return {key: pc.if_else(pc.equal(found, ""), _NO_VRF, found)}


def _vrf_text(octets: bytes) -> str:
    number = int.from_bytes(octets[:7], "big")
    return f"vrfid:{number}" if number else ""


def _distinguisher_text(octets: bytes) -> str:
    """Write a route distinguisher (RFC 4364 section 4.2) as nfacctd does."""
    if len(octets) != 8:
        return ""
    kind = int.from_bytes(octets[:2], "big")
    if kind == 0:
        return f"0:{int.from_bytes(octets[2:4], 'big')}:{int.from_bytes(octets[4:], 'big')}"
    if kind in (1, 2):
        number = int.from_bytes(octets[2:6], "big")
        asked = str(ipaddress.IPv4Address(number)) if kind == 1 else number
        return f"{kind}:{asked}:{int.from_bytes(octets[6:], 'big')}"
    return "unknown"


def _ethertype(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    """Return the Ethernet type as nfacctd writes it; without one, that of the addresses."""
    hi, lo = (column_of(rows, f"source_address_{half}") for half in HALVES)
    v6 = np.asarray((np.asarray(hi) != 0) | (np.asarray(lo) >> 32 != 0xFFFF)) & (np.asarray(lo) > 0)
    told = rows.arrays.get(octets_column(0, _built_in(column).elements[0]))
    own = np.where(v6, "86dd", "800").astype(object)
    if told is None:
        return {key: own.item() if own.ndim == 0 else pa.array(own, pa.string())}
    texts = _map_octets(told, lambda octets: f"{int.from_bytes(octets[:7], 'big'):x}", "")
    own = np.broadcast_to(own, (rows.n_rows,))
    return {key: pc.if_else(pc.equal(texts, ""), pa.array(own, pa.string()), texts)}


def _custom(rows: Rows, column: ColumnPlan, key: str, *_: object) -> Keys:
    custom = column.custom
    if custom is None:
        raise RuntimeError(f"column {column.name} is not custom")
    number = custom.semantics == "u_int"
    empty: str | int = 0 if number else _NO_HEX if custom.semantics == "hex" else ""
    found = _occurrence(rows, custom)
    if found is None:
        return {key: empty}
    if number:
        return {key: _whole_numbers(found, custom.length or 0)}
    return {key: _map_octets(found, lambda octets: custom_text(custom, octets), empty)}


def _whole_numbers(found: Any, length: int) -> Value:
    """Read numbers of exactly so many octets; others are 0."""
    if length not in (1, 2, 4, 8):
        return 0
    fits = pc.fill_null(pc.equal(pc.binary_length(found), length), False)
    chosen = found.filter(fits)
    if isinstance(chosen, pa.ChunkedArray):
        chosen = chosen.combine_chunks()
    octets = b"" if not len(chosen) else chosen.cast(pa.binary(length)).buffers()[1]
    values = np.frombuffer(octets, f">u{length}", len(chosen))
    result = np.zeros(len(found), np.uint64)
    result[fits.to_numpy(zero_copy_only=False)] = values
    return result


def _map_octets(found: Any, convert: Callable[[bytes], str | int], absent: str | int) -> Any:
    """Convert the distinct octets of a column; a record without the element has `absent`."""
    encoded = found.dictionary_encode()
    values = [convert(octets) for octets in encoded.dictionary.to_pylist()]
    kind = pa.string() if isinstance(absent, str) else pa.uint64()
    return pa.array(values, kind).take(encoded.indices).fill_null(absent)


@lru_cache(maxsize=65536)
def custom_text(custom: Primitive, octets: bytes) -> str:
    """Write the octets of a custom primitive as nfacctd does, and where it errs, as it should.

    A text of the full length, or of variable length, is written whole.
    """
    length = custom.length
    if custom.semantics == "raw":
        pairs = "-".join(f"{octet:02X}" for octet in octets[:length])
        return f"{pairs}-" if length is not None and len(octets) > length else pairs
    if length is not None and len(octets) != length:
        return _NO_HEX if custom.semantics == "hex" else ""
    if custom.semantics == "str":
        return octets.split(b"\0", 1)[0].decode("utf-8", "replace")
    if custom.semantics == "hex":
        return f"{int.from_bytes(octets, 'big'):x}"
    if custom.semantics == "mac":
        return octets.hex(":") if len(octets) == 6 else ""
    try:
        return str(ipaddress.ip_address(octets))
    except ValueError:
        return ""


_READERS: dict[Kind, Callable[..., Keys]] = {
    Kind.ADDRESS: _address,
    Kind.NET: _net,
    Kind.NUMBER: _number,
    Kind.PORT: _port,
    Kind.PROTOCOL: _protocol,
    Kind.MAC: _number,
    Kind.TIME: _time,
    Kind.TAG: _tag,
    Kind.LABEL: _label,
    Kind.DIRECTION: _direction,
    Kind.ETHERTYPE: _ethertype,
    Kind.LABEL_STACK: _label_stack,
    Kind.DISTINGUISHER: _distinguisher,
    Kind.OCTETS: _octets,
    Kind.NONE: _nothing,
    Kind.CUSTOM: _custom,
}
