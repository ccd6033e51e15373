"""From the elements of Data Records to the columns of a FlowBatch.

Exporters say the same thing in many ways: this module knows them (addresses of two families, eleven
encodings of time, counters by delta, total, initiator or reverse direction, events without
counters) and is shared by every decoder. It works on whole groups of records of one layout. What
each exporter's habit is called, and where it was seen, is in the tests that are named after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.counters import (
    counter_columns,
    kind_columns,
    reverse_counters,
)
from appliance.decoding.columns.endpoints import ADDRESSES, endpoint_columns
from appliance.decoding.columns.flow_times import time_columns
from appliance.decoding.columns.frames import add_frame_columns
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.decoding.templates.template import REVERSE_PEN
from appliance.flows import (
    COLUMN,
    UNKNOWN_DIRECTION,
    Column,
    RawElement,
    RecordKind,
    columns_filled_by,
    constant,
    is_constant,
    octets_column,
)

Columns = dict[str, NDArray[Any]]

_OF_HEADER = {"export_time_milliseconds": "export_ms", "export_sequence_number": "sequence"}
"""`HEADER_COLUMNS` and their fields of `Arrivals`."""

MAX_TEXT = 256
"""Characters of a name that are kept."""

_SPECIAL = {
    *(f"{name}_{half}" for name in ADDRESSES for half in ("hi", "lo")),
    "flow_start_milliseconds",
    "flow_end_milliseconds",
    "octet_delta_count",
    "packet_delta_count",
    "delta_flow_count",
    "collection_time_milliseconds",
    "application_id",
    "observation_domain_id",
    "exporter_transport_port",
    "export_protocol_version",
    "source_transport_port",
    "destination_transport_port",
    "flow_direction",
    "source_prefix_length",
    "destination_prefix_length",
    "icmp_type_code",
}
_OPTION, _REVERSE = np.array([RecordKind.OPTION], np.uint8), np.array([1], np.uint8)
_SWAPPED = (
    ("source_address_hi", "destination_address_hi"),
    ("source_address_lo", "destination_address_lo"),
    ("source_transport_port", "destination_transport_port"),
    ("source_mac_address", "destination_mac_address"),
    ("source_prefix_length", "destination_prefix_length"),
    ("bgp_source_as_number", "bgp_destination_as_number"),
    ("ingress_interface", "egress_interface"),
    ("ingress_vrf_id", "egress_vrf_id"),
    ("post_nat_source_address_hi", "post_nat_destination_address_hi"),
    ("post_nat_source_address_lo", "post_nat_destination_address_lo"),
    ("post_napt_source_transport_port", "post_napt_destination_transport_port"),
)


@dataclass(frozen=True, slots=True)
class BiflowColumns:
    """The columns of one group: its records, and the reverse halves of its biflows.

    Attributes
    ----------
    reverse_rows
        Which records have a reverse half: its rows are these, in order. None: the layout has none.
    """

    forward: Columns
    reverse: Columns | None = None
    reverse_rows: NDArray[np.intp] | None = None


def flow_columns(group: RecordGroup) -> BiflowColumns:
    """Fill the columns of flows and events."""
    columns = _origin(group)
    columns.update(_direct(group))
    columns.update(endpoint_columns(group))
    columns.update(time_columns(group))
    columns.update(counter_columns(group))
    add_frame_columns(group, columns)
    columns.update(_application(group))
    columns.update(_direction(group, columns))
    columns.update(kind_columns(group, columns))
    _note_dropped(columns)
    return _biflow_columns(group, columns)


def option_columns(group: RecordGroup) -> Columns:
    """Fill the columns of options records: identifiers and names as they are."""
    columns = _origin(group)
    columns.update(_direct(group))
    columns.update(_application(group))
    columns["record_kind"] = constant(_OPTION, group.n_records)
    return columns


def compact(columns: Columns) -> Columns:
    """Leave out columns that hold nothing; make constant ones stride-0 arrays."""
    kept: Columns = {}
    for name, values in columns.items():
        if is_constant(values):
            if values.item(0) != COLUMN[name].absent:
                kept[name] = values
        elif values.dtype == object or values[0] != values[-1] or not (values == values[0]).all():
            kept[name] = values
        elif values.item(0) != COLUMN[name].absent:
            kept[name] = constant(values[:1].copy(), len(values))
    return kept


def octet_columns(group: RecordGroup, elements: tuple[RawElement, ...]) -> Columns:
    """Copy the raw octets of the elements that the layout has."""
    found: Columns = {}
    for enterprise, element, *repeat in elements:
        at = group.index(element, enterprise, *repeat)
        if at is not None:
            found[octets_column(enterprise, element, *repeat)] = group.records.octets(at)
    return found


def header_columns(group: RecordGroup, wanted: Sequence[str]) -> Columns:
    """Copy what the headers of the messages say into columns, those that are wanted."""
    return {
        name: group.per_record(_OF_HEADER[name]).astype(COLUMN[name].dtype, copy=False)
        for name in wanted
    }


def text_of(octets: bytes) -> str:
    """Read a string: up to the first NUL, bad octets replaced, at most 256 characters."""
    return _text_of(octets[: MAX_TEXT * 4])


@lru_cache(maxsize=8192)
def _text_of(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("utf-8", "replace")[:MAX_TEXT].strip()


def application_key(octets: bytes) -> int:
    """Make a 64-bit key of an application identifier (RFC 6759 section 4).

    The classification engine is the top octet, the selector the rest; a selector of more than
    seven octets is folded. No octets: 0.
    """
    if not octets:
        return 0
    selector, rest = int.from_bytes(octets[1:], "big"), 0
    while selector:
        rest ^= selector & (1 << 56) - 1
        selector >>= 56
    return octets[0] << 56 | rest


def _version(plan: DecodePlan) -> NDArray[Any]:
    # A version of 16 bits has no place in the column; 0 says that it is not known.
    return np.array([plan.version if plan.version <= 0xFF else 0], np.uint8)


def _origin(group: RecordGroup) -> Columns:
    version = constant(group.plan.recall(_version), group.n_records)
    hi, lo = group.exporters or (group.per_record("address_hi"), group.per_record("address_lo"))
    return {
        "collection_time_milliseconds": group.per_record("received_ms"),
        "exporter_address_hi": hi,
        "exporter_address_lo": lo,
        "exporter_transport_port": group.per_record("transport_port"),
        "observation_domain_id": group.per_record("domain").astype(np.uint32, copy=False),
        "export_protocol_version": version,
        **({} if group.sampling is None else {"sampling_rate": group.sampling}),
    }


def _direct_fields(plan: DecodePlan) -> tuple[tuple[str, np.dtype[Any], int], ...]:
    """Return the columns that an element of a layout fills as it is."""
    choices: dict[str, tuple[int, Column, int]] = {}
    for (enterprise, element), at in plan.first_index.items():
        for rank, column in columns_filled_by(enterprise, element):
            if column.name in _SPECIAL:
                continue
            choice = choices.get(column.name)
            if (choice is None or rank < choice[0]) and (plan.options or not column.options_only):
                choices[column.name] = rank, column, at
    return tuple((name, column.dtype, at) for name, (_, column, at) in choices.items())


def _direct(group: RecordGroup) -> Columns:
    fields = group.plan.recall(_direct_fields)
    return {
        name: _texts(group.records.octets(at))
        if dtype.kind == "O"
        else group.records.unsigned(at).astype(dtype, copy=False)
        for name, dtype, at in fields
    }


def _application(group: RecordGroup) -> Columns:
    at = group.index(95)
    if at is None:
        return {}
    length = group.plan.fields[at].length
    if length in (1, 2, 4, 8):
        # The engine is the top octet of the field; here it becomes the top octet of the number.
        number = group.records.unsigned(at).astype(np.uint64, copy=False)
        bits = np.uint64(8 * (length - 1))
        engine = number >> bits
        return {"application_id": engine << np.uint64(56) | (number & ((np.uint64(1) << bits) - 1))}
    values = group.records.octets(at)
    keys = [application_key(bytes(v)) for v in values.tolist()]
    return {"application_id": np.array(keys, np.uint64)}


def _direction(group: RecordGroup, columns: Columns) -> Columns:
    told = group.unsigned(61)
    ingress, egress = columns.get("ingress_interface"), columns.get("egress_interface")
    if told is not None:
        direction = told.astype(np.uint8, copy=False)
        if not (direction > 1).any():
            return {"flow_direction": direction}
        direction = np.where(direction > 1, np.uint8(UNKNOWN_DIRECTION), direction)
    elif ingress is None and egress is None:
        return {}
    else:
        direction = np.full(group.n_records, UNKNOWN_DIRECTION, np.uint8)
    if ingress is not None and egress is not None:
        # Not told: a flow with only one interface passed it in the direction of that one.
        unknown = direction == UNKNOWN_DIRECTION
        direction = np.where(unknown & (ingress > 0) & (egress == 0), np.uint8(0), direction)
        direction = np.where(unknown & (ingress == 0) & (egress > 0), np.uint8(1), direction)
    return {"flow_direction": direction}


def _note_dropped(columns: Columns) -> None:
    """Say where a packet was dropped: forwarding status (RFC 7270 section 4.12), or no way out."""
    status = columns.get("forwarding_status")
    if status is not None and (status >> 6 == 2).any():
        columns["dropped"] = (status >> 6 == 2).astype(np.uint8)
        return
    egress, ingress = columns.get("egress_interface"), columns.get("ingress_interface")
    hop = columns.get("ip_next_hop_address_lo")
    if status is None and egress is not None and ingress is not None and hop is not None:
        hop = hop | columns.get("ip_next_hop_address_hi", np.uint64(0))
        dropped = (egress == 0) & (hop == 0) & (ingress > 0)
        if dropped.any():
            columns["dropped"] = dropped.astype(np.uint8)


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(len(values), object)
    texts[:] = [text_of(bytes(value)) for value in values.tolist()]
    return texts


def _biflow_columns(group: RecordGroup, columns: Columns) -> BiflowColumns:
    octets, packets = reverse_counters(group)
    if octets is None and packets is None:
        return BiflowColumns(columns)
    present = np.zeros(group.n_records, np.bool_)
    for counter in (packets,) if packets is not None else (octets,):
        present |= counter > 0  # type: ignore[operator]
    rows = np.flatnonzero(present)
    reverse = {name: values[rows] for name, values in columns.items()}
    for one, other in _SWAPPED:
        a, b = reverse.pop(one, None), reverse.pop(other, None)
        reverse.update({other: a} if a is not None else {})
        reverse.update({one: b} if b is not None else {})
    for name in ("octet_delta_count", "packet_delta_count", "flow_direction"):
        reverse.pop(name, None)
    reverse.update(_reverse_columns(group, rows, octets, packets))
    return BiflowColumns(columns, reverse, rows)


def _reverse_columns(
    group: RecordGroup,
    rows: NDArray[np.intp],
    octets: NDArray[Any] | None,
    packets: NDArray[Any] | None,
) -> Columns:
    found: Columns = {"reverse": constant(_REVERSE, len(rows))}
    counters = (("octet_delta_count", octets), ("packet_delta_count", packets))
    told = (
        (name, group.unsigned(element, REVERSE_PEN))
        for name, element in (
            ("tcp_control_bits", 6),
            ("ip_class_of_service", 5),
            ("vlan_id", 58),
            ("flow_end_reason", 136),
        )
    )
    for name, values in (*counters, *told):
        if values is not None:
            found[name] = values[rows].astype(COLUMN[name].dtype, copy=False)
    return found
