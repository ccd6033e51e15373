"""FlowBatch, the one currency between the parts, and the table of its columns.

`COLUMNS` is the single place that says what a column is called (the IPFIX information element in
snake case), how it is stored, in which unit, from which information elements it is filled and
what SQL tables of flows call it. Decoders fill columns, the flow log stores them, queries name
them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]

V4_MAPPED = 0xFFFF_0000_0000
"""Low half of ::ffff:0.0.0.0: an IPv4 address is this plus its 32 bits, its high half is 0."""

RawElement = tuple[int, int] | tuple[int, int, int]
"""An element (enterprise number, identifier) that is kept with its octets, and which occurrence of
it in a record, from 0, where it is not the first."""


class RecordKind(IntEnum):
    """What a row is: traffic, an event without counters (NAT, firewall), an options record, or a
    record that claims more traffic than any interface carries.
    """

    FLOW = 0
    EVENT = 1
    OPTION = 2
    IMPLAUSIBLE = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a FlowBatch and of the flow log.

    Attributes
    ----------
    name
        The information element in snake case; `_hi` and `_lo` are the halves of a 128-bit address.
    dtype
        Native numpy dtype; `object` for text (`str`).
    absent
        The value of a record that does not carry it; stored as null.
    unit
        As IANA's registry names it, or empty.
    elements
        IANA element identifiers (enterprise 0) that can fill it, most wanted first; of v9 all its
        field types, those above 32767 too.
    enterprise_elements
        Pairs of enterprise number and element identifier (RFC 7011 section 3.2) that can fill it
        where none of `elements` is there, most wanted first.
    sql_name
        Its usual name in SQL tables of flows, which the published API has too; or None.
    options_only
        True when only options records have it: such a column is not in the files of flows.
    doc
        What it says, for people; of ours, IANA's registry does.
    letters
        The number, uint16, is two ASCII letters such as the code of a country, the first in the
        high octet: it is shown and asked for as these.
    has_names
        The number stands for a name that a plugin tells (`register_value_names`): it is shown and
        asked for as this.
    sums_kept
        So many of its values have sums of their own in the store's roll-ups of a month, what more
        there are is kept as one sum; 0 for no sums. Where both sides of a flow have such a column
        (`source_x` and `destination_x`), it is so many pairs. Of numbers of 32 bits at most.
    """

    name: str
    dtype: np.dtype[Any]
    absent: int | float | str = 0
    unit: str = ""
    elements: tuple[int, ...] = ()
    sql_name: str | None = None
    options_only: bool = False
    doc: str = ""
    enterprise_elements: tuple[tuple[int, int], ...] = ()
    letters: bool = False
    has_names: bool = False
    sums_kept: int = 0


def _column(name: str, dtype: str, *elements: int, **rest: Any) -> Column:
    return Column(name, np.dtype(dtype), elements=elements, **rest)


UNKNOWN_DIRECTION = 255
UNKNOWN_PROTOCOL = 255
"""IANA reserves this number; 0 is a protocol (IPv6 hop-by-hop options)."""

COLUMNS: tuple[Column, ...] = (
    # Where and when the record came from.
    _column("collection_time_milliseconds", "i8", 258, unit="milliseconds"),
    _column("exporter_address_hi", "u8", sql_name="peer_ip_src"),
    _column("exporter_address_lo", "u8", sql_name="peer_ip_src"),
    _column("exporter_transport_port", "u2", 217),
    _column("observation_domain_id", "u4", 149),
    _column("export_protocol_version", "u1", 214),
    # Of the message's header (RFC 7011 section 3.1), see HEADER_COLUMNS.
    _column("export_time_milliseconds", "i8", unit="milliseconds"),
    _column("export_sequence_number", "u4"),
    _column("record_kind", "u1"),
    # When and between whom.
    _column("flow_start_milliseconds", "i8", 152, 150, 154, 156, 22, 158, unit="milliseconds"),
    _column("flow_end_milliseconds", "i8", 153, 151, 155, 157, 21, 159, unit="milliseconds"),
    _column("source_address_hi", "u8", 27, sql_name="ip_src"),
    _column("source_address_lo", "u8", 27, 8, sql_name="ip_src"),
    _column("destination_address_hi", "u8", 28, sql_name="ip_dst"),
    _column("destination_address_lo", "u8", 28, 12, sql_name="ip_dst"),
    _column("source_transport_port", "u2", 7, 180, 182, sql_name="src_port"),
    _column("destination_transport_port", "u2", 11, 181, 183, sql_name="dst_port"),
    _column("protocol_identifier", "u1", 4, absent=UNKNOWN_PROTOCOL, sql_name="ip_proto"),
    _column("ip_class_of_service", "u1", 5, sql_name="tos"),
    _column("tcp_control_bits", "u2", 6, sql_name="tcp_flags"),
    _column("icmp_type_code", "u2", 32, 139),
    # How much, the element most wanted first: delta (RFC 7012), sent (OUT_BYTES of v9), layer 2,
    # total, initiator (ASA NSEL).
    _column("octet_delta_count", "u8", 1, 23, 352, 85, 231, unit="octets", sql_name="bytes"),
    _column("packet_delta_count", "u8", 2, 24, 86, 298, unit="packets", sql_name="packets"),
    # A record is one flow where it does not say how many it stands for.
    _column("delta_flow_count", "u8", 3, absent=1, unit="flows", sql_name="flows"),
    _column("sampling_rate", "f8", sql_name="sampling_rate"),
    # By which way.
    _column("ingress_interface", "u4", 10, 252, sql_name="iface_in"),
    _column("egress_interface", "u4", 14, 253, sql_name="iface_out"),
    _column("flow_direction", "u1", 61, absent=UNKNOWN_DIRECTION),
    _column("ip_next_hop_address_hi", "u8", 62),
    _column("ip_next_hop_address_lo", "u8", 62, 15),
    _column("bgp_next_hop_address_hi", "u8", 63, sql_name="peer_ip_dst"),
    _column("bgp_next_hop_address_lo", "u8", 63, 18, sql_name="peer_ip_dst"),
    _column("bgp_source_as_number", "u4", 16, sql_name="as_src"),
    _column("bgp_destination_as_number", "u4", 17, sql_name="as_dst"),
    _column("source_prefix_length", "u1", 9, 29, sql_name="mask_src"),
    _column("destination_prefix_length", "u1", 13, 30, sql_name="mask_dst"),
    _column("forwarding_status", "u1", 89),
    _column("dropped", "u1"),
    _column("flow_end_reason", "u1", 136),
    _column("reverse", "u1"),
    # On which link and in which table.
    _column("vlan_id", "u2", 58, 243, sql_name="vlan"),
    _column("post_vlan_id", "u2", 59, 254),
    _column("source_mac_address", "u8", 56, 81, sql_name="mac_src"),
    _column("destination_mac_address", "u8", 80, 57, sql_name="mac_dst"),
    _column("ingress_vrf_id", "u4", 234),
    _column("egress_vrf_id", "u4", 235),
    _column("ip_version", "u1", 60),
    _column("flow_label_ipv6", "u4", 31),
    # What it was, and what a firewall or a translator made of it.
    _column("application_id", "u8", 95),
    _column("flow_id", "u8", 148),
    _column("firewall_event", "u1", 233),
    _column("nat_event", "u1", 230),
    _column("post_nat_source_address_hi", "u8", 281),
    _column("post_nat_source_address_lo", "u8", 281, 225),
    _column("post_nat_destination_address_hi", "u8", 282),
    _column("post_nat_destination_address_lo", "u8", 282, 226),
    _column("post_napt_source_transport_port", "u2", 227),
    _column("post_napt_destination_transport_port", "u2", 228),
    # What options records say.
    _column("application_name", "O", 96, absent="", options_only=True),
    _column("application_description", "O", 94, absent="", options_only=True),
    _column("interface_name", "O", 82, absent="", options_only=True),
    _column("interface_description", "O", 83, absent="", options_only=True),
    _column("vrf_name", "O", 236, absent="", options_only=True),
    _column("selector_id", "u8", 302, 48, options_only=True),
    _column("sampler_name", "O", 84, 335, absent="", options_only=True),
)

_BY_NAME: dict[str, Column] = {}
COLUMN: Mapping[str, Column] = MappingProxyType(_BY_NAME)
"""Every column by its name, those of plugins too."""

COLLECTION_TIME = "collection_time_milliseconds"
HEADER_COLUMNS = ("export_time_milliseconds", "export_sequence_number")
"""Columns that decoders fill only where `collector.header_columns` names them."""

OCTETS_PREFIX = "octets_"

_FILLED_BY: dict[tuple[int, int], list[tuple[int, Column]]] = {}


def set_plugin_columns(columns: Iterable[Column]) -> None:
    """Add the columns of plugins to ours, in the place of those that were added before.

    The one table that is not fixed when it is imported: what a column is called is asked in every
    part, for each batch, and does not change while a process runs. `app.build_app` calls it once,
    before anything is decoded or read.
    """
    _BY_NAME.clear()
    _FILLED_BY.clear()
    for column in (*COLUMNS, *columns):
        _BY_NAME[column.name] = column
        of_iana = ((0, element) for element in column.elements)
        for rank, element in enumerate((*of_iana, *column.enterprise_elements)):
            _FILLED_BY.setdefault(element, []).append((rank, column))


def columns_filled_by(enterprise: int, element: int) -> Sequence[tuple[int, Column]]:
    """Return the columns that an element can fill, each with its rank among others."""
    return _FILLED_BY.get((enterprise, element), ())


def columns_of_log(options: bool) -> tuple[Column, ...]:
    """Return the columns in the files of a family: of options records, or of flows and events."""
    return tuple(c for c in _BY_NAME.values() if options or not c.options_only)


def plugin_columns() -> tuple[Column, ...]:
    """Return the columns that plugins added."""
    return tuple(_BY_NAME.values())[len(COLUMNS) :]


def column_pairs() -> Mapping[str, tuple[Column, Column]]:
    """Return what plugins tell of both sides of a flow, such as `source_country` and
    `destination_country`, by the part of the name that both have."""
    sources = [c for c in plugin_columns() if c.name.startswith("source_")]
    named = {c.name.removeprefix("source_"): c for c in sources}
    return {
        name: (column, _BY_NAME[f"destination_{name}"])
        for name, column in named.items()
        if f"destination_{name}" in _BY_NAME
    }


def summed_columns() -> tuple[tuple[Column, ...], ...]:
    """Return the columns of plugins that sums are kept by: pairs of both sides, or one alone."""
    pairs = [pair for pair in column_pairs().values() if all(side.sums_kept for side in pair)]
    in_pairs = {side.name for pair in pairs for side in pair}
    alone = [c for c in plugin_columns() if c.sums_kept and c.name not in in_pairs]
    return (*pairs, *((column,) for column in alone))


set_plugin_columns(())


def octets_column(enterprise: int, element: int, repeat: int = 0) -> str:
    """Name the binary column that keeps an element's octets as received.

    Parameters
    ----------
    repeat
        Which occurrence of the element in a record, from 0.
    """
    return f"{OCTETS_PREFIX}{enterprise}_{element}" + (f"_{repeat}" if repeat else "")


def element_of(column: str) -> tuple[int, int] | None:
    """Return the element (enterprise, identifier) of an octets column; None for another column."""
    kind, *numbers = column.split("_")
    return (int(numbers[0]), int(numbers[1])) if kind == "octets" else None


@dataclass(slots=True)
class FlowBatch:
    """Records of one kind family (flows and events, or options) as columns of equal length.

    Attributes
    ----------
    n_records
        Length of every column.
    columns
        Present columns by name, native dtype of `COLUMN[name]`, shape (n_records,). A column that
        no record of the batch carries is left out: it then has its `absent` value throughout. A
        column that is the same in every record may be a stride-0 array (`np.broadcast_to`), so
        never write into one.
    octets
        Raw octets by `octets_column` name: dtype `V<n>` when all have one length, else `object`
        holding `bytes`; a record without the element has b"".
    options
        True for options records.
    datagrams
        int64, row to datagram in the block that it was decoded from; not stored.
    origin
        Where the octets of each record lie; only for inspection (`appliance decode`), never stored.
    """

    n_records: int
    columns: dict[str, AnyArray]
    octets: dict[str, AnyArray] = field(default_factory=dict)
    options: bool = False
    datagrams: NDArray[np.int64] | None = None
    origin: object | None = None

    def column(self, name: str) -> AnyArray:
        """Return a column, made of its `absent` value when the batch does not carry it.

        Raises
        ------
        KeyError
            `COLUMNS` has no such name.
        """
        found = self.columns.get(name)
        if found is not None:
            return found
        column = COLUMN[name]
        return np.broadcast_to(np.array(column.absent, column.dtype), (self.n_records,))


def constant(values: AnyArray, n_records: int) -> AnyArray:
    """Return the first of some values as a column: a stride-0 array, not to be written into.

    `np.broadcast_to` would do, but takes several times as long.
    """
    if n_records == 1:
        return values[:1]
    column: AnyArray = np.ndarray((n_records,), values.dtype, values, 0, (0,))
    column.flags.writeable = False
    return column


def is_constant(column: AnyArray) -> bool:
    """Tell whether a column is a stride-0 array or one record; values are not compared."""
    return column.strides == (0,) or len(column) == 1


def address_halves(text: str) -> tuple[int, int]:
    """Split the text of an address into its 128-bit halves, IPv4 as ::ffff:a.b.c.d.

    Raises
    ------
    ValueError
        The text is no IPv4 or IPv6 address.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return 0, V4_MAPPED | int(address)
    return int(address) >> 64, int(address) & 0xFFFF_FFFF_FFFF_FFFF


def address_text(hi: int, lo: int) -> str:
    """Print an address from its halves; IPv4-mapped ones as dotted quad."""
    if hi == 0 and lo >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(lo & 0xFFFF_FFFF))
    return str(ipaddress.IPv6Address(hi << 64 | lo))
