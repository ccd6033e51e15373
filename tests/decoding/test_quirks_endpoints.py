"""Exporters' habits with who talks to whom: protocols, tunnels; exporter-quirks.md."""

from __future__ import annotations

import pytest

from tests.decoding.building import Exporter
from tests.decoding.protocols import both
from tests.decoding.test_quirks_counters import records

PROTOCOL = "protocol_identifier"


@both
def test_icmp_when_only_its_type_is_told_then_the_protocol_too(
    protocol: Exporter,
) -> None:
    """Templates for ICMP of some exporters have 32 or 139, but not 4."""
    elements = ((8, 4), (12, 4), (1, 4))
    found = records(protocol, (*elements, (32, 2)), (1, 2, 1008, 2048), (1, 2, 84, 0))
    assert found.column(PROTOCOL) == [1, 1]
    assert found.column("icmp_type_code") == [2048, None]
    found = records(protocol, ((27, 16), (28, 16), (1, 4), (139, 2)), (1, 2, 104, 32768))
    assert found.column(PROTOCOL) == [58]


@both
@pytest.mark.parametrize(
    ("element", "octets", "expected"),
    [(176, 1, 1), (178, 1, 58), (180, 2, 17), (181, 2, 17), (182, 2, 6), (183, 2, 6), (6, 1, 6)],
)
def test_protocol_when_an_element_of_one_protocol_is_filled_then_that(
    protocol: Exporter, element: int, octets: int, expected: int
) -> None:
    found = records(protocol, ((8, 4), (7, 2), (1, 4), (element, octets)), (1, 5, 70, 8))
    assert found.column(PROTOCOL) == [expected]


@both
def test_protocol_when_nothing_tells_then_unknown_and_not_zero(
    protocol: Exporter,
) -> None:
    elements = ((8, 4), (7, 2), (11, 2), (1, 4), (32, 2), (6, 1), (182, 2))
    found = records(protocol, elements, (1, 53, 2000, 70, 0, 0, 0))
    assert found.column(PROTOCOL) == [None]
    (batch,) = found.batches
    assert batch.column(PROTOCOL).tolist() == [255]


@both
def test_protocol_when_told_as_zero_then_hop_by_hop_options(protocol: Exporter) -> None:
    found = records(protocol, ((8, 4), (4, 1), (1, 4), (32, 2)), (1, 0, 70, 2048))
    assert found.column(PROTOCOL) == [0]
