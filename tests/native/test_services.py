"""Which port of a flow is its service: the kernel in C next to its twin in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.native.library import IS_AVAILABLE
from appliance.native.services import service_ports
from appliance.services import ports_in_numpy, read_services

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="no kernels were built")


@pytest.mark.parametrize("constant", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_ports_when_of_any_protocol_then_as_in_numpy(constant: tuple[int, ...]) -> None:
    """Named ports and others of every protocol; columns may be one value."""
    random, n = np.random.default_rng(3), 100_000
    few = np.array([53, 80, 443, 3306, 5060, 8080, 40_000, 65_535], np.uint16)
    columns = [
        random.integers(0, 256, n).astype(np.uint8) % np.uint8(24),
        np.where(random.random(n) < 0.5, random.choice(few, n), random.integers(0, 1 << 16, n)),
        np.where(random.random(n) < 0.5, random.choice(few, n), random.integers(0, 1 << 16, n)),
    ]
    columns = [
        column.astype(np.uint16 if place else np.uint8) for place, column in enumerate(columns)
    ]
    for place in constant:
        columns[place] = np.broadcast_to(columns[place][6:7], (n,))
    services = read_services()
    ports = service_ports(services[:2], *columns)
    assert ports.dtype == np.uint16
    assert (ports == ports_in_numpy(services, *columns)).all()


def test_ports_when_there_is_no_flow_then_none() -> None:
    """A piece of options records only."""
    nothing = np.broadcast_to(np.uint16(0), (0,))
    assert not len(service_ports(read_services()[:2], nothing.astype(np.uint8), nothing, nothing))
