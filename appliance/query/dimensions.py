"""What answers can be grouped by: columns of the flow log, either side of a flow, and what is
computed of them.

A dimension has one or several *items*, the columns that an answer shows. Each is computed for one
side of a flow, or for both: by `host` a flow counts for its source and for its destination.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.errors import InvalidQueryError
from appliance.flowlog.conditions import ADDRESSES, ALIASES
from appliance.flowlog.macros import printed_number
from appliance.flows import COLLECTION_TIME, COLUMNS, Column, column_pairs, plugin_columns
from appliance.query.question import DISTINCT, MEANS, SUMS

_PREFIX = re.compile(r"(?P<name>[a-z_]+)/(?P<bits>\d{1,3})")
_V4_BITS = 32
_HALF = 64


@dataclass(frozen=True, slots=True)
class Side:
    """How an item is computed for one side of a flow.

    Attributes
    ----------
    reads
        Columns of the log.
    keys
        An SQL expression for each key of the item. Like `present` it is understood by DuckDB with
        our macros and by other engines: no operators on bits, no casts.
    present
        An SQL condition: the flow has a value.
    """

    reads: tuple[str, ...]
    keys: tuple[str, ...]
    present: str


@dataclass(frozen=True, slots=True)
class Item:
    """One column of an answer.

    Attributes
    ----------
    keys
        The names of the SQL columns that tell groups apart.
    sides
        One, or two where a flow counts for both its sides.
    printed
        An SQL expression of the keys, as people read it.
    """

    name: str
    keys: tuple[str, ...]
    sides: tuple[Side, ...]
    printed: str


@dataclass(frozen=True, slots=True)
class Dimension:
    """What an answer can be grouped by.

    Attributes
    ----------
    text
        One line of help.
    """

    name: str
    text: str
    items: tuple[Item, ...]

    @property
    def has_both_sides(self) -> bool:
        """Whether a flow may be in two groups."""
        return any(len(item.sides) == 2 for item in self.items)


def _plain(column: str, *, zero: bool = True) -> Item:
    """Return an item that is a column; without `zero` the value 0 is nobody's, like null."""
    key = column if zero else f"nullif({column}, 0)"
    return Item(column, (column,), (Side((column,), (key,), f"{key} IS NOT NULL"),), column)


def _halves(address: str) -> tuple[str, str]:
    return f"{address}_hi", f"{address}_lo"


def _address_side(address: str) -> Side:
    hi, lo = _halves(address)
    high = f"coalesce({hi}, CASE WHEN {lo} IS NOT NULL THEN 0 END)"
    present = f"(coalesce({hi}, 0) <> 0 OR coalesce({lo}, 0) <> 0)"
    return Side((hi, lo), (high, lo), present)


def _address(name: str, *columns: str) -> Item:
    keys = _halves(name)
    printed = f"address({keys[0]}, {keys[1]})"
    return Item(name, keys, tuple(_address_side(column) for column in columns), printed)


def _either(name: str, *columns: str) -> Item:
    sides = (Side((c,), (f"nullif({c}, 0)",), f"coalesce({c}, 0) <> 0") for c in columns)
    return Item(name, (name,), tuple(sides), name)


def _expression(name: str, reads: tuple[str, ...], expression: str, printed: str = "") -> Item:
    side = Side(reads, (expression,), "true")
    return Item(name, (name,), (side,), printed or name)


def _fold(name: str, smaller: bool) -> Item:
    """Return one end of a conversation: the smaller or the larger of both addresses."""
    source, destination = (_halves(f"{end}_address") for end in ("source", "destination"))
    (a, b), (c, d) = ([f"coalesce({half}, 0)" for half in end] for end in (source, destination))
    is_ordered = f"({a} < {c} OR ({a} = {c} AND {b} <= {d}))"
    first, second = ((a, b), (c, d)) if smaller else ((c, d), (a, b))
    keys = tuple(
        f"CASE WHEN {is_ordered} THEN {x} ELSE {y} END" for x, y in zip(first, second, strict=True)
    )
    hi, lo = _halves(name)
    return Item(
        name, (hi, lo), (Side((*source, *destination), keys, "true"),), f"address({hi}, {lo})"
    )


def _classes(value: str, bounds: Mapping[int, str], above: str) -> tuple[str, str]:
    """Return an expression of the class of a value, and one of its text.

    Parameters
    ----------
    bounds
        By the first value that is too large for a class, in order: its text.
    """
    numbers = " ".join(f"WHEN {value} < {bound} THEN {n}" for n, bound in enumerate(bounds))
    texts = " ".join(f"WHEN {n} THEN '{text}'" for n, text in enumerate(bounds.values()))
    return f"CASE {numbers} ELSE {len(bounds)} END", f"{texts} ELSE '{above}' END"


def _class_item(name: str, reads: tuple[str, ...], classes: tuple[str, str]) -> Item:
    expression, texts = classes
    return _expression(name, reads, expression, f"CASE {name} {texts}")


_OCTETS_A_PACKET = "octet_delta_count / greatest(coalesce(packet_delta_count, 1), 1)"
_PACKET_SIZES = {
    64: "below 64",
    128: "64 to 127",
    256: "128 to 255",
    512: "256 to 511",
    1024: "512 to 1023",
    1519: "1024 to 1518",
}
_DURATION_MS = "flow_end_milliseconds - flow_start_milliseconds"
_DURATIONS = {
    1000: "below 1 s",
    10_000: "1 to 10 s",
    60_000: "10 to 60 s",
    300_000: "1 to 5 min",
    1_800_000: "5 to 30 min",
}
_FLAGS = "CEUAPRSF"
_FLAG_TEXT = "concat({})".format(
    ", ".join(
        f"CASE WHEN tcp_control_bits & {128 >> n} <> 0 THEN '{letter}' ELSE '.' END"
        for n, letter in enumerate(_FLAGS)
    )
)
_SOURCE, _DESTINATION = "source_address", "destination_address"
_PORTS = ("source_transport_port", "destination_transport_port")
_EXPORTER = _address("exporter_address", "exporter_address")
_PROTOCOL = _plain("protocol_identifier")
_LOWER_PORT = "least(coalesce({0}, {1}), coalesce({1}, {0}))".format(*_PORTS)
_SERVICE = _expression("service_port", _PORTS, _LOWER_PORT)

DIMENSIONS: Mapping[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        Dimension("source", "source address", (_address(_SOURCE, _SOURCE),)),
        Dimension("destination", "destination address", (_address(_DESTINATION, _DESTINATION),)),
        Dimension(
            "host", "address of either side", (_address("host_address", _SOURCE, _DESTINATION),)
        ),
        Dimension(
            "pair",
            "source and destination",
            (_address(_SOURCE, _SOURCE), _address(_DESTINATION, _DESTINATION)),
        ),
        Dimension(
            "conversation",
            "two addresses, both directions together",
            (_fold("one_address", True), _fold("other_address", False)),
        ),
        Dimension("service", "protocol and the lower port", (_PROTOCOL, _SERVICE)),
        Dimension("port", "port of either side", (_either("transport_port", *_PORTS),)),
        Dimension("source_port", "source port", (_plain(_PORTS[0]),)),
        Dimension("destination_port", "destination port", (_plain(_PORTS[1]),)),
        Dimension("protocol", "IP protocol", (_PROTOCOL,)),
        Dimension(
            "application",
            "application by its exporter (RFC 6759)",
            (_plain("application_id", zero=False),),
        ),
        Dimension("exporter", "exporter", (_EXPORTER,)),
        Dimension(
            "interface",
            "interface, in or out",
            (_EXPORTER, _either("interface", "ingress_interface", "egress_interface")),
        ),
        Dimension(
            "ingress_interface",
            "interface in",
            (_EXPORTER, _plain("ingress_interface", zero=False)),
        ),
        Dimension(
            "egress_interface", "interface out", (_EXPORTER, _plain("egress_interface", zero=False))
        ),
        Dimension(
            "vrf",
            "VRF, in or out",
            (_EXPORTER, _either("vrf_id", "ingress_vrf_id", "egress_vrf_id")),
        ),
        Dimension("ingress_vrf", "VRF in", (_EXPORTER, _plain("ingress_vrf_id", zero=False))),
        Dimension("egress_vrf", "VRF out", (_EXPORTER, _plain("egress_vrf_id", zero=False))),
        Dimension(
            "as",
            "AS of either side",
            (_either("bgp_as_number", "bgp_source_as_number", "bgp_destination_as_number"),),
        ),
        Dimension("source_as", "source AS", (_plain("bgp_source_as_number", zero=False),)),
        Dimension(
            "destination_as", "destination AS", (_plain("bgp_destination_as_number", zero=False),)
        ),
        Dimension(
            "next_hop", "next hop", (_address("ip_next_hop_address", "ip_next_hop_address"),)
        ),
        Dimension("direction", "flow direction", (_plain("flow_direction"),)),
        Dimension("tos", "type of service", (_plain("ip_class_of_service"),)),
        Dimension(
            "dscp",
            "differentiated services code point",
            (
                _expression(
                    "dscp", ("ip_class_of_service",), "bitShiftRight(ip_class_of_service, 2)"
                ),
            ),
        ),
        Dimension(
            "tcp_flags",
            f"TCP flags as {_FLAGS}",
            (
                _expression(
                    "tcp_control_bits", ("tcp_control_bits",), "tcp_control_bits", _FLAG_TEXT
                ),
            ),
        ),
        Dimension("vlan", "VLAN", (_plain("vlan_id", zero=False),)),
        Dimension("version", "version of the protocol", (_plain("export_protocol_version"),)),
        Dimension(
            "packet_size",
            "mean octets a packet, in classes",
            (
                _class_item(
                    "packet_size",
                    ("octet_delta_count", "packet_delta_count"),
                    _classes(_OCTETS_A_PACKET, _PACKET_SIZES, "1519 and more"),
                ),
            ),
        ),
        Dimension(
            "duration",
            "duration, in classes",
            (
                _class_item(
                    "duration",
                    ("flow_start_milliseconds", "flow_end_milliseconds"),
                    _classes(f"coalesce({_DURATION_MS}, 0)", _DURATIONS, "30 min and more"),
                ),
            ),
        ),
        Dimension(
            "hour",
            "hour of the day, UTC",
            (_expression("hour", (COLLECTION_TIME,), f"intDiv({COLLECTION_TIME}, 3600000) % 24"),),
        ),
        Dimension(
            "second",
            "second of receipt",
            (_expression("second", (COLLECTION_TIME,), f"intDiv({COLLECTION_TIME}, 1000)"),),
        ),
    )
}
"""By name; of addresses also prefixes, such as `source/24`, and columns of plugins."""


def dimensions() -> Mapping[str, Dimension]:
    """Return every dimension by name: ours, and the columns of plugins."""
    of_plugins = {
        column.name: Dimension(column.name, column.doc, (_of_plugin(column.name, column),))
        for column in plugin_columns()
    }
    of_either_side = {
        name: Dimension(name, f"{name} of either side", (_of_plugin(name, *columns),))
        for name, columns in column_pairs().items()
    }
    return {**DIMENSIONS, **of_either_side, **of_plugins}


def _of_plugin(name: str, *columns: Column) -> Item:
    names = [column.name for column in columns]
    # The number 0 stands for no text.
    is_text = columns[0].letters or columns[0].has_names
    item = _plain(names[0], zero=not is_text) if len(names) == 1 else _either(name, *names)
    return replace(item, printed=printed_number(names[0], name))


def taken_names() -> set[str]:
    """Return the names that mean something in questions, which no plugin's column may have."""
    ours = {column.name for column in COLUMNS}
    items = {item.name for dimension in DIMENSIONS.values() for item in dimension.items}
    measures = {*SUMS, *MEANS, *DISTINCT}
    return ours | {*ADDRESSES, *ALIASES, *DIMENSIONS, *items, *measures, "kind"}


def is_dimension(text: str) -> bool:
    """Tell whether `find_dimension` knows a text, or says what is wrong with its prefix."""
    match = _PREFIX.fullmatch(text)
    return (match["name"] if match else text) in dimensions()


def find_dimension(text: str) -> Dimension:
    """Return the dimension of a name, or of an address and a prefix length such as `source/24`.

    IPv4 addresses are cut to that many bits of their 32, IPv6 addresses to that many of their 128.

    Raises
    ------
    InvalidQueryError
        There is none; the text lists them.
    """
    known = dimensions()
    if text in known:
        return known[text]
    match = _PREFIX.fullmatch(text)
    dimension = known.get(match["name"]) if match is not None else None
    if match is None or dimension is None:
        raise InvalidQueryError(f"cannot group by {text!r}, expected {', '.join(known)}")
    bits = int(match["bits"])
    if not all(item.name.endswith("_address") for item in dimension.items):
        raise InvalidQueryError(f"{dimension.name} has no prefixes: only addresses have")
    if not 1 <= bits <= 128:
        raise InvalidQueryError(f"a prefix has 1 to 128 bits, not {bits}")
    items = tuple(_prefix(item, bits) for item in dimension.items)
    return Dimension(text, f"{dimension.text}, by /{bits}", items)


def _prefix(item: Item, bits: int) -> Item:
    """Return an address without its host part."""
    short = min(bits, _V4_BITS)
    v4_mask = _mask(_HALF - _V4_BITS + short, _HALF)
    hi_mask, lo_mask = _mask(min(bits, _HALF), _HALF), _mask(max(bits - _HALF, 0), _HALF)
    sides = []
    for side in item.sides:
        hi, lo = side.keys
        masks = f"THEN toUInt64({v4_mask}) ELSE toUInt64({lo_mask})"
        lo_bits = f"CASE WHEN {_is_v4(hi, lo)} {masks} END"
        keys = (f"bitAnd({hi}, toUInt64({hi_mask}))", f"bitAnd({lo}, {lo_bits})")
        sides.append(Side(side.reads, keys, side.present))
    name = item.name.removesuffix("_address") + "_prefix"
    keys = _halves(name)
    length = f"CASE WHEN {_is_v4(*keys)} THEN '/{short}' ELSE '/{bits}' END"
    return Item(name, keys, tuple(sides), f"address({keys[0]}, {keys[1]}) || {length}")


def _is_v4(hi: str, lo: str) -> str:
    return f"{hi} = 0 AND bitShiftRight({lo}, 32) = 65535"


def _mask(bits: int, width: int) -> int:
    return ((1 << bits) - 1) << (width - bits)
