"""Names of IP protocols by number, as the API shows them: lower case, mostly IANA keywords.

255, which IANA reserves, is what the columns have where nothing tells the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PROTOCOL_NAMES: Mapping[int, str] = MappingProxyType(
    {
        0: "hopopt", 1: "icmp", 2: "igmp", 3: "ggp", 4: "ipv4", 5: "st", 6: "tcp", 7: "cbt",
        8: "egp", 9: "igp", 17: "udp", 27: "rdp", 33: "dccp", 37: "ddp", 41: "ipv6",
        43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah", 54: "narp",
        57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 81: "vmtp", 88: "eigrp",
        89: "ospf", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim", 108: "ipcomp", 112: "vrrp",
        115: "l2tp", 124: "isis", 132: "sctp", 133: "fc", 135: "mobility-header", 136: "udplite",
        137: "mpls-in-ip", 138: "manet", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc",
        255: "unknown",
    }
)  # fmt: skip


def protocol_name(key: str) -> str:
    """Return the name of a protocol number, else the number."""
    return PROTOCOL_NAMES.get(int(key), key) if key.isdecimal() else key
