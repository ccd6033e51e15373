"""Which port of a flow is its service, in C: twin of `appliance.services`."""

from __future__ import annotations

from ctypes import c_int64

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import array_of, kernel, with_strides

_OCTETS, _PORTS = array_of(np.uint8), array_of(np.uint16)
_SERVICE_PORTS = kernel(
    "service_ports",
    None,
    *(_OCTETS, c_int64, _PORTS, c_int64, _PORTS, c_int64, c_int64, _OCTETS, _PORTS, _PORTS),
)


def service_ports(
    tables: tuple[AnyArray, AnyArray],
    protocols: AnyArray,
    sources: AnyArray,
    destinations: AnyArray,
) -> AnyArray:
    """Return the service port of each flow, uint16.

    Parameters
    ----------
    tables
        `family` and `place` of `appliance.services.Services`.
    protocols, sources, destinations
        uint8, uint16, uint16; columns of stride 0 are read once.
    """
    family, place = tables
    ports = np.empty(len(protocols), np.uint16)
    columns = with_strides((protocols, sources, destinations))
    _SERVICE_PORTS(*columns, len(ports), family, place, ports)
    return ports
