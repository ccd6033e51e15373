"""What a configuration puts in place of a flow's own columns: AS numbers, networks, ports, rates.

`networks_file` with `nfacctd_as` and `nfacctd_net`, `ports_file` and `sampling_map`, as nfacctd
1.7.7 does it. `longest` (and `fallback`, which is the same) takes the file's where its prefix is at
least as long as the flow's; a length that nothing in the aggregate needs counts as none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.pmacct.filters.predicates import Columns, halves, is_v4
from appliance.plugins.pmacct.maps.networks import NO_ENTRY, NetworksTable
from appliance.plugins.pmacct.maps.sampling_map import SamplingMap

NETFLOW, FILE, LONGEST, MASK = "netflow", "file", "longest", "mask"
RESOLVED = "resolved_"
"""What the name of a column begins with that stands before the octets of an element."""

_PORTS = ("source_transport_port", "destination_transport_port")
_NEXT_HOP, _IP_NEXT_HOP = "bgp_next_hop_address", "ip_next_hop_address"
_V4_ZERO = np.uint64(0xFFFF << 32)


@dataclass(frozen=True, slots=True)
class Side:
    """The columns of a flow's source or destination."""

    address: str
    origin_as: str
    peer_as: str
    length: str
    next_hop: str = ""


SIDES = (
    Side("source_address", "bgp_source_as_number", "octets_0_129", "source_prefix_length"),
    Side(
        *("destination_address", "bgp_destination_as_number", "octets_0_128"),
        *("destination_prefix_length", _NEXT_HOP),
    ),
)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is resolved, and how.

    Attributes
    ----------
    as_method, net_method
        `NETFLOW`, `FILE` or `LONGEST`; of networks also `MASK`.
    mask
        The prefix length of `MASK` (`networks_mask`).
    moves_as
        AS numbers of the flow are those of its peers (`nfacctd_peer_as`).
    takes_ip_next_hop
        The next hop stands in place of BGP's where there is none (`use_ip_next_hop`).
    zeroes_others
        Addresses that the file does not have become zero (`networks_file_filter`).
    file_first
        The file's network counts also where the flow's is longer (`networks_file_no_lpm`).
    keeps_hosts
        A prefix length of 0 masks nothing (`networks_no_mask_if_zero`).
    ports
        Ports that are kept, the others become 0; None: all.
    lengths
        The columns of the prefix lengths that something in the aggregate needs.
    external_rate
        What counters are multiplied by in place of the exporter's rate; 0: by the exporter's.
    """

    networks: NetworksTable | None = None
    as_method: str = NETFLOW
    net_method: str = NETFLOW
    zeroes_others: bool = False
    file_first: bool = False
    keeps_hosts: bool = False
    mask: int = 0
    moves_as: bool = False
    takes_ip_next_hop: bool = False
    ports: tuple[int, ...] | None = None
    sampling: SamplingMap = field(default_factory=SamplingMap)
    external_rate: int = 0
    lengths: frozenset[str] = frozenset()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        names = set(self.sampling.columns) | ({"sampling_rate"} if self.sampling.rules else set())
        names |= set(_PORTS) if self.ports is not None else set()
        for side in SIDES:
            names |= {side.origin_as} if self.moves_as else set()
            if self.networks is not None:
                names |= {*halves(side.address), side.origin_as, side.length}
        if self.takes_ip_next_hop:
            names |= {*halves(_NEXT_HOP), *halves(_IP_NEXT_HOP)}
        return frozenset(names | (set(halves(_NEXT_HOP)) if self.networks is not None else set()))

    def resolve(self, columns: Columns, n_rows: int) -> dict[str, NDArray[Any]]:
        """Return the columns that become others, of `n_rows` values each.

        A column that begins with `RESOLVED` stands before the octets of an element; it is a masked
        array, and where it is masked the flow's own octets count.
        """
        changed: dict[str, NDArray[Any]] = {}
        if self.sampling.rules:
            rates = self.sampling.rates(columns, n_rows)
            changed["sampling_rate"] = np.where(rates > 0, rates, columns("sampling_rate"))
        if self.ports is not None:
            for name in _PORTS:
                ports = np.broadcast_to(np.asarray(columns(name), np.uint16), (n_rows,))
                changed[name] = np.where(np.isin(ports, self.ports), ports, 0).astype(np.uint16)
        if self.takes_ip_next_hop:
            changed.update(_with_ip_next_hop(columns, n_rows))
        for side in SIDES if self.moves_as else ():
            own = _whole(columns, side.origin_as, np.uint32, n_rows)
            changed[side.origin_as] = np.zeros_like(own)
            changed[RESOLVED + side.peer_as] = np.ma.array(own.astype(np.uint64), mask=False)
        if self.networks is not None:
            # What the lines above have put in place is the flow's own here.
            def current(name: str) -> Any:
                return changed[name] if name in changed else columns(name)

            for side in SIDES:
                peer_as = RESOLVED + side.peer_as
                moved = changed.get(peer_as)
                changed |= self._side(self.networks, side, current, n_rows)
                if moved is not None and self.as_method != NETFLOW:
                    by_flow = np.ma.getmaskarray(changed[peer_as])
                    peers = np.where(by_flow, moved, changed[peer_as])
                    changed[peer_as] = np.ma.array(peers, mask=False)
        if self.net_method == MASK:
            changed.update(self._mask_hosts(n_rows))
        return changed

    def _mask_hosts(self, n_rows: int) -> dict[str, NDArray[Any]]:
        """Return prefix lengths and next hops: of no flow, its own."""
        changed: dict[str, NDArray[Any]] = {
            name: np.zeros(n_rows, np.uint64) for name in halves(_NEXT_HOP)
        }
        for side in SIDES:
            length = self.mask if side.length in self.lengths else 0
            changed[side.length] = np.full(n_rows, length, np.uint8)
        return changed

    def _side(
        self, table: NetworksTable, side: Side, columns: Columns, n_rows: int
    ) -> dict[str, NDArray[Any]]:
        def whole(name: str, dtype: type[Any]) -> NDArray[Any]:
            return _whole(columns, name, dtype, n_rows)

        hi, lo = (whole(name, np.uint64) for name in halves(side.address))
        entries = table.entries(hi, lo)
        changed: dict[str, NDArray[Any]] = {}
        length = whole(side.length, np.uint8)
        if side.length not in self.lengths:
            length = np.zeros_like(length)
        if self.zeroes_others:
            others = entries == NO_ENTRY
            zero = np.where(is_v4(side.address).mask(columns), _V4_ZERO, np.uint64(0))
            names = halves(side.address)
            changed[names[0]] = np.where(others, np.uint64(0), hi)
            changed[names[1]] = np.where(others, zero, lo)
            length = np.where(others & (self.net_method == LONGEST), np.uint8(0), length)
        in_file = table.length[entries]
        wins = in_file > 0 if self.file_first else in_file >= length
        if self.net_method in (FILE, LONGEST):
            by_file = wins | (self.net_method == FILE)
            changed[side.length] = np.where(by_file, in_file, length)
            if side.next_hop:
                hops = (table.next_hop_hi[entries], table.next_hop_lo[entries])
                for name, hop in zip(halves(side.next_hop), hops, strict=True):
                    changed[name] = np.where(by_file, hop, whole(name, np.uint64))
        if self.as_method != NETFLOW:
            by_file = wins | (self.as_method == FILE)
            own = whole(side.origin_as, np.uint32)
            changed[side.origin_as] = np.where(by_file, table.origin_as[entries], own)
            peers = table.peer_as[entries].astype(np.uint64)
            changed[RESOLVED + side.peer_as] = np.ma.array(peers, mask=~by_file)
        return changed


def _whole(columns: Columns, name: str, dtype: type[Any], n_rows: int) -> NDArray[Any]:
    return np.broadcast_to(np.asarray(columns(name), dtype), (n_rows,))


def _with_ip_next_hop(columns: Columns, n_rows: int) -> dict[str, NDArray[Any]]:
    """Return BGP's next hops, or the flow's where there is none."""
    bgp, own = (
        [_whole(columns, name, np.uint64, n_rows) for name in halves(address)]
        for address in (_NEXT_HOP, _IP_NEXT_HOP)
    )
    absent = (bgp[0] == 0) & (bgp[1] == 0)
    return {
        name: np.where(absent, ip, hop)
        for name, hop, ip in zip(halves(_NEXT_HOP), bgp, own, strict=True)
    }
