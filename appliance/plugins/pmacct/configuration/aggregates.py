"""The primitives that an `aggregate` line may name, and their columns in pmacct's SQL tables.

`BUILT_IN` is the one table: what a primitive is made of (columns of `appliance.flows`, or an
element's octets), how it is written, and what its column is called in which version of the tables
(pmacct's sql/README.mysql). How values are read and written is left to the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from appliance.flows import HEADER_COLUMNS

PORTS_RENAMED, TAG_RENAMED = 8, 9
"""Versions of the tables from which on ports and tags have their new names."""

AS_NUMBERS_APART = 6
FIRST_WITH_FLOWS = 4


class Kind(Enum):
    """How a primitive is read and written."""

    ADDRESS = auto()
    NET = auto()
    NUMBER = auto()
    PORT = auto()
    PROTOCOL = auto()
    MAC = auto()
    TIME = auto()
    TAG = auto()
    LABEL = auto()
    DIRECTION = auto()
    ETHERTYPE = auto()
    LABEL_STACK = auto()
    DISTINGUISHER = auto()
    OCTETS = auto()
    FLAGS = auto()
    FLOWS = auto()
    NONE = auto()
    CUSTOM = auto()


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A primitive that nfacctd has by itself.

    Attributes
    ----------
    column
        Its column in SQL; for a time, `<column>_residual` holds the microseconds.
    source
        The column of `appliance.flows` that it is made of; of an address without `_hi`, `_lo`.
    mask
        Of a net: the column with the length of its prefix.
    elements
        The elements whose octets hold the value, where `source` is empty.
    old_column, renamed
        What the column is called before a version of the tables.
    sql_type
        As pmacct declares it in MySQL.
    """

    name: str
    column: str
    kind: Kind
    source: str = ""
    mask: str = ""
    elements: tuple[int, ...] = ()
    old_column: str = ""
    renamed: int = 0
    sql_type: str = "INT UNSIGNED"


_IP, _MAC, _LONG = "CHAR(45)", "CHAR(17)", "BIGINT UNSIGNED"
NO_SOURCE: tuple[tuple[str, str, str], ...] = (
    ("local_pref", "local_pref", "INT UNSIGNED"),
    ("med", "med", "INT UNSIGNED"),
    ("src_local_pref", "local_pref_src", "INT UNSIGNED"),
    ("src_med", "med_src", "INT UNSIGNED"),
    ("as_path", "as_path", "CHAR(21)"),
    ("std_comm", "comms", "CHAR(24)"),
    ("ext_comm", "ecomms", "CHAR(24)"),
    ("lrg_comm", "lcomms", "CHAR(24)"),
    ("src_as_path", "as_path_src", "CHAR(21)"),
    ("src_std_comm", "comms_src", "CHAR(24)"),
    ("src_ext_comm", "ecomms_src", "CHAR(24)"),
    ("src_lrg_comm", "lcomms_src", "CHAR(24)"),
    ("src_roa", "roa_src", "CHAR(1)"),
    ("dst_roa", "roa_dst", "CHAR(1)"),
    ("src_host_country", "country_ip_src", "CHAR(2)"),
    ("dst_host_country", "country_ip_dst", "CHAR(2)"),
    ("src_host_pocode", "pocode_ip_src", "CHAR(12)"),
    ("dst_host_pocode", "pocode_ip_dst", "CHAR(12)"),
)
"""Primitives of BGP sessions, RPKI and GeoIP, which NetFlow does not carry: their columns stay
empty."""

MPLS_LABELS = tuple(range(70, 80))
"""mplsTopLabelStackSection to mplsLabelStackSection10."""

INITIATOR_OCTETS, RESPONDER_OCTETS, INITIATOR_PACKETS = 231, 232, 298
"""Elements of firewalls that count both directions of a flow in one record."""

ROUTE_DISTINGUISHER, INGRESS_VRF, EGRESS_VRF, CUSTOMER_VLAN, PSEUDOWIRE = 90, 234, 235, 245, 249

_TABLE: tuple[BuiltIn, ...] = (
    BuiltIn("src_mac", "mac_src", Kind.MAC, "source_mac_address", sql_type=_MAC),
    BuiltIn("dst_mac", "mac_dst", Kind.MAC, "destination_mac_address", sql_type=_MAC),
    BuiltIn("vlan", "vlan", Kind.NUMBER, "vlan_id"),
    BuiltIn("cos", "cos", Kind.OCTETS, elements=(244,)),
    BuiltIn("etype", "etype", Kind.ETHERTYPE, elements=(256,), sql_type="CHAR(5)"),
    BuiltIn("src_host", "ip_src", Kind.ADDRESS, "source_address", sql_type=_IP),
    BuiltIn("src_net", "net_src", Kind.NET, "source_address", "source_prefix_length", sql_type=_IP),
    BuiltIn("src_as", "as_src", Kind.NUMBER, "bgp_source_as_number"),
    BuiltIn("in_iface", "iface_in", Kind.NUMBER, "ingress_interface"),
    BuiltIn("src_mask", "mask_src", Kind.NUMBER, "source_prefix_length"),
    BuiltIn("dst_host", "ip_dst", Kind.ADDRESS, "destination_address", sql_type=_IP),
    BuiltIn(
        *("dst_net", "net_dst", Kind.NET, "destination_address", "destination_prefix_length"),
        sql_type=_IP,
    ),
    BuiltIn("dst_as", "as_dst", Kind.NUMBER, "bgp_destination_as_number"),
    BuiltIn("out_iface", "iface_out", Kind.NUMBER, "egress_interface"),
    BuiltIn("dst_mask", "mask_dst", Kind.NUMBER, "destination_prefix_length"),
    BuiltIn("peer_src_as", "peer_as_src", Kind.OCTETS, elements=(129,)),
    BuiltIn("peer_dst_as", "peer_as_dst", Kind.OCTETS, elements=(128,)),
    BuiltIn("peer_src_ip", "peer_ip_src", Kind.ADDRESS, "exporter_address", sql_type=_IP),
    BuiltIn("peer_dst_ip", "peer_ip_dst", Kind.ADDRESS, "bgp_next_hop_address", sql_type=_IP),
    BuiltIn(
        *("src_port", "port_src", Kind.PORT, "source_transport_port"),
        old_column="src_port",
        renamed=PORTS_RENAMED,
    ),
    BuiltIn(
        *("dst_port", "port_dst", Kind.PORT, "destination_transport_port"),
        old_column="dst_port",
        renamed=PORTS_RENAMED,
    ),
    BuiltIn("tcpflags", "tcp_flags", Kind.FLAGS, "tcp_control_bits"),
    BuiltIn("tos", "tos", Kind.NUMBER, "ip_class_of_service"),
    BuiltIn("proto", "ip_proto", Kind.PROTOCOL, "protocol_identifier", sql_type="CHAR(16)"),
    BuiltIn("sampling_rate", "sampling_rate", Kind.NUMBER, "sampling_rate"),
    BuiltIn(
        *("sampling_direction", "sampling_direction", Kind.DIRECTION, "flow_direction"),
        sql_type="CHAR(1)",
    ),
    BuiltIn(
        *("post_nat_src_host", "post_nat_ip_src", Kind.ADDRESS, "post_nat_source_address"),
        sql_type=_IP,
    ),
    BuiltIn(
        *("post_nat_dst_host", "post_nat_ip_dst", Kind.ADDRESS, "post_nat_destination_address"),
        sql_type=_IP,
    ),
    BuiltIn(
        "post_nat_src_port", "post_nat_port_src", Kind.NUMBER, "post_napt_source_transport_port"
    ),
    BuiltIn(
        *("post_nat_dst_port", "post_nat_port_dst", Kind.NUMBER),
        "post_napt_destination_transport_port",
    ),
    BuiltIn("nat_event", "nat_event", Kind.NUMBER, "nat_event"),
    BuiltIn("fw_event", "fw_event", Kind.NUMBER, "firewall_event"),
    BuiltIn("mpls_label_top", "mpls_label_top", Kind.OCTETS, elements=(70,)),
    BuiltIn("mpls_label_bottom", "mpls_label_bottom", Kind.LABEL_STACK, elements=MPLS_LABELS),
    BuiltIn("mpls_stack_depth", "mpls_stack_depth", Kind.LABEL_STACK, elements=MPLS_LABELS),
    BuiltIn(
        *("mpls_vpn_rd", "mpls_vpn_rd", Kind.DISTINGUISHER),
        elements=(INGRESS_VRF, EGRESS_VRF, ROUTE_DISTINGUISHER),
        sql_type="CHAR(18)",
    ),
    BuiltIn("mpls_pw_id", "mpls_pw_id", Kind.OCTETS, elements=(PSEUDOWIRE,)),
    BuiltIn("vxlan", "vxlan", Kind.OCTETS, elements=(351,)),
    BuiltIn(
        "timestamp_start", "timestamp_start", Kind.TIME, "flow_start_milliseconds",
        sql_type="DATETIME",
    ),
    BuiltIn(
        "timestamp_end", "timestamp_end", Kind.TIME, "flow_end_milliseconds", sql_type="DATETIME"
    ),
    BuiltIn(
        *("timestamp_arrival", "timestamp_arrival", Kind.TIME, "collection_time_milliseconds"),
        sql_type="DATETIME",
    ),
    BuiltIn(
        *("timestamp_export", "timestamp_export", Kind.TIME, "export_time_milliseconds"),
        sql_type="DATETIME",
    ),
    BuiltIn("export_proto_seqno", "export_proto_seqno", Kind.NUMBER, "export_sequence_number"),
    BuiltIn("export_proto_version", "export_proto_version", Kind.NUMBER, "export_protocol_version"),
    BuiltIn("export_proto_sysid", "export_proto_sysid", Kind.NUMBER, "observation_domain_id"),
    *(BuiltIn(name, column, Kind.NONE, sql_type=kind) for name, column, kind in NO_SOURCE),
    BuiltIn(
        *("tag", "tag", Kind.TAG, "tag"), old_column="agent_id", renamed=TAG_RENAMED, sql_type=_LONG
    ),
    BuiltIn("tag2", "tag2", Kind.TAG, "tag2", sql_type=_LONG),
    BuiltIn("label", "label", Kind.LABEL, "label", sql_type="VARCHAR(255)"),
    BuiltIn("class", "class_id", Kind.NONE, sql_type="CHAR(16)"),
    BuiltIn("flows", "flows", Kind.FLOWS, sql_type=_LONG),
)  # fmt: skip
STITCHED = (
    BuiltIn(
        *("timestamp_min", "timestamp_min", Kind.TIME, "flow_start_milliseconds"),
        sql_type="DATETIME",
    ),
    BuiltIn(
        *("timestamp_max", "timestamp_max", Kind.TIME, "flow_end_milliseconds"),
        sql_type="DATETIME",
    ),
)
"""What `nfacctd_stitching` adds to a row: its earliest start and its latest end. An `aggregate`
line cannot name them."""

BOTH_WAYS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {f"sum_{what}": (f"src_{what}", f"dst_{what}") for what in ("host", "net", "as", "port", "mac")}
)
"""Primitives that count each flow twice: for its source, and for its destination in its place. With
one of them in an aggregate nfacctd leaves out everything else."""

BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType(
    {
        **{primitive.name: primitive for primitive in _TABLE},
        **{name: BuiltIn(name, "", Kind.NONE) for name in BOTH_WAYS},
        "none": BuiltIn("none", "", Kind.NONE),
    }
)

_VERSION_COLUMNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (1, ("src_mac", "dst_mac", "src_host", "dst_host", "src_port", "dst_port", "proto")),
    (2, ("tag", "vlan")),
    (3, ("tos",)),
    (4, ("flows",)),
    (5, ("class",)),
    (6, ("src_as", "dst_as")),
    (7, ("tcpflags",)),
)
_BGP_COLUMNS = (
    *("tag", "src_as", "dst_as", "peer_src_as", "peer_dst_as", "peer_src_ip", "peer_dst_ip"),
    *("std_comm", "as_path", "local_pref", "med", "flows"),
)
_BGP_ONLY = {
    *("peer_src_as", "peer_dst_as", "peer_dst_ip", "std_comm", "ext_comm", "lrg_comm", "as_path"),
    *("local_pref", "med", "src_std_comm", "src_ext_comm", "src_lrg_comm", "src_as_path"),
    *("src_local_pref", "src_med"),
}


VARIABLE_LENGTH = frozenset(
    (
        *("label", "as_path", "std_comm", "ext_comm", "lrg_comm"),
        *("src_as_path", "src_std_comm", "src_ext_comm", "src_lrg_comm"),
    )
)
"""Primitives that nfacctd does not lay out in columns of letters."""


def aggregate_names(value: str) -> tuple[str, ...]:
    """Split an `aggregate` line: commas separate, blanks are no part of a name."""
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def is_bgp_table(table_type: str, names: Sequence[str]) -> bool:
    """Tell whether the table is one of BGP's: by `sql_table_type`, else by what it holds."""
    if table_type:
        return table_type.lower() == "bgp"
    return bool(_BGP_ONLY.intersection(names))


def version_primitives(version: int, bgp: bool) -> tuple[str, ...]:
    """Return the primitives that pmacct's own table of a version has columns for."""
    if bgp:
        return _BGP_COLUMNS
    return tuple(n for since, names in _VERSION_COLUMNS if version >= since for n in names)


def column_name(primitive: BuiltIn, version: int, bgp: bool) -> str:
    """Return what a primitive's column is called in a version of the tables."""
    if version < primitive.renamed:
        return primitive.old_column
    if primitive.name in ("src_as", "dst_as") and version < AS_NUMBERS_APART and not bgp:
        return "ip_src" if primitive.name == "src_as" else "ip_dst"
    return primitive.column


def aggregate_problem(names: Sequence[str], version: int, table_type: str, own: bool) -> str | None:
    """Return why nfacctd refuses an aggregate with a version of the tables.

    Parameters
    ----------
    own
        The table is the site's own (`sql_optimize_clauses`).
    """
    bgp = is_bgp_table(table_type, names)
    hosts, numbers = {"src_host", "dst_host"}, {"src_as", "dst_as"}
    old = version < AS_NUMBERS_APART and not bgp
    if old and hosts.intersection(names) and numbers.intersection(names):
        return "SQL tables < v6 are unable to mix IP addresses and AS numbers (ie. src_ip, src_as)."
    if not own and not bgp and "flows" in names and version < FIRST_WITH_FLOWS:
        return "The accounting of flows requires SQL table v4. Exiting."
    return None


def primitives_without_source(names: Sequence[str]) -> list[str]:
    """Return the primitives of an aggregate that NetFlow does not fill."""
    empty = {name for name, _, _ in NO_SOURCE} | {"class"}
    return [name for name in names if name in empty]


def source_elements(names: Sequence[str]) -> list[tuple[int, int]]:
    """Return the elements whose octets built-in primitives are made of, (enterprise, id)."""
    built_in = (BUILT_IN[name] for name in names if name in BUILT_IN)
    return [(0, element) for primitive in built_in for element in primitive.elements]


def source_headers(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of message headers that built-in primitives are made of."""
    sources = (BUILT_IN[name].source for name in names if name in BUILT_IN)
    return tuple(source for source in sources if source in HEADER_COLUMNS)
