"""Services: names of well-known ports, and which port of a flow is its service.

`services.csv` has the names as IANA's registry spells them, and the names that exporters (NBAR,
PAN-OS) have for the same services: one service has one name, IANA's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.native import services as native
from appliance.native.library import IS_AVAILABLE
from appliance.protocols import PROTOCOL_NAMES

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
PORTS = 65536


class Services(NamedTuple):
    """The names of ports as tables to index.

    Attributes
    ----------
    family
        uint8, by protocol number: which part of `place` has its ports; 0 for none.
    place
        uint16, by family * 65536 + port: position in `names`; 0 where the port has no name.
    names
        The first is for none.
    known_as
        The name here by the name that an exporter may give, in lower case.
    """

    family: NDArray[np.uint8]
    place: NDArray[np.uint16]
    names: tuple[str, ...]
    known_as: Mapping[str, str]

    def name_codes(
        self, protocols: NDArray[np.uint8], ports: NDArray[np.uint16]
    ) -> NDArray[np.uint16]:
        """Return the position of the name of each port, 0 for none."""
        offsets = self.family.astype(np.int32) * PORTS
        found: NDArray[np.uint16] = self.place[offsets[protocols] + ports]
        return found

    def port_service(self, protocol: int, port: int) -> str:
        """Return the name of one port, empty for none."""
        return self.names[int(self.place[int(self.family[protocol]) * PORTS + port])]

    def named_ports(self) -> Iterator[tuple[int, int]]:
        """Yield each protocol and port that has a name."""
        for protocol in PROTOCOL_NUMBERS.values():
            first = int(self.family[protocol]) * PORTS
            for port in np.flatnonzero(self.place[first : first + PORTS]).tolist():
                yield protocol, port


def read_services() -> Services:
    """Read the table of the package."""
    family = np.zeros(256, np.uint8)
    for number, protocol in enumerate(PROTOCOL_NUMBERS.values(), 1):
        family[protocol] = number
    place = np.zeros((len(PROTOCOL_NUMBERS) + 1) * PORTS, np.uint16)
    names = [""]
    known_as: dict[str, str] = {}
    text = resources.files("appliance").joinpath("services.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        if row["name"] not in names:
            names.append(row["name"])
        known_as |= dict.fromkeys([row["name"], *row["also"].split()], row["name"])
        at = int(family[PROTOCOL_NUMBERS[row["protocol"]]]) * PORTS + int(row["port"])
        place[at] = names.index(row["name"])
    return Services(family, place, tuple(names), known_as)


def service_ports(
    services: Services,
    protocols: NDArray[np.uint8],
    sources: NDArray[np.uint16],
    destinations: NDArray[np.uint16],
) -> NDArray[np.uint16]:
    """Return the service port of each flow: the lower of those that have a name, else the lower."""
    if IS_AVAILABLE:
        return native.service_ports(services[:2], protocols, sources, destinations)
    return ports_in_numpy(services, protocols, sources, destinations)


def ports_in_numpy(
    services: Services,
    protocols: NDArray[np.uint8],
    sources: NDArray[np.uint16],
    destinations: NDArray[np.uint16],
) -> NDArray[np.uint16]:
    """Return the service ports where there is no kernel for it."""
    lower, upper = np.minimum(sources, destinations), np.maximum(sources, destinations)
    unnamed = np.flatnonzero(services.name_codes(protocols, lower) == 0)
    if len(unnamed):
        above = upper[unnamed]
        named = services.name_codes(protocols[unnamed], above) != 0
        lower[unnamed[named]] = above[named]
    return lower


def service_text(services: Services, protocol: int | None, port: int | None) -> str:
    """Return what people call a service: `https (tcp/443)`, `tcp/8291`, `icmp` without a port."""
    if protocol is None:
        return "-" if port is None else str(port)
    if not port:
        return PROTOCOL_NAMES.get(protocol, str(protocol))
    name, key = services.port_service(protocol, port), port_name(protocol, port)
    return f"{name} ({key})" if name else key


def port_name(protocol: int, port: int) -> str:
    """Return the key of a service port: `tcp/443`."""
    return f"{PROTOCOL_NAMES.get(protocol, str(protocol))}/{port}"
