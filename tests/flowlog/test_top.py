"""Groups of flows: those that a flow belongs to twice, and the total."""

from __future__ import annotations

import ipaddress
from typing import Any

import numpy as np
import pytest

from appliance.errors import InvalidQueryError
from appliance.flowlog import FlowSearch
from appliance.flows import V4_MAPPED
from tests.asking import top, totals


def v4(text: str) -> np.uint64:
    return np.uint64(int(ipaddress.IPv4Address(text)) | V4_MAPPED)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("host", [("10.0.0.1", 111), ("10.0.0.2", 101), ("10.0.0.3", 10)]),
        ("port", [(53, 111), (40000, 101), (None, 1000)]),
        ("interface", [(7, 1011), (None, 100)]),
    ],
)
def test_top_when_either_side_counts_then_each_flow_once_for_a_value_and_in_the_total(
    log: Any, make_batch: Any, dimension: str, expected: list[Any]
) -> None:
    def flow(source: str, destination: str, octets: int, **columns: Any) -> dict[str, Any]:
        ends = {"source_address_lo": v4(source), "destination_address_lo": v4(destination)}
        return {**ends, "octet_delta_count": np.uint64(octets), **columns}

    def ports(source: int, destination: int) -> dict[str, Any]:
        return {
            "source_transport_port": np.uint16(source),
            "destination_transport_port": np.uint16(destination),
        }

    rows = [
        flow("10.0.0.1", "10.0.0.2", 100, **ports(40000, 53)),
        flow("10.0.0.3", "10.0.0.1", 10, **ports(53, 53), egress_interface=np.uint32(7)),
        flow("10.0.0.1", "10.0.0.2", 1, **ports(53, 40000), ingress_interface=np.uint32(7)),
        flow("10.0.0.9", "10.0.0.9", 1000, **ports(0, 0), ingress_interface=np.uint32(7)),
    ]
    rows[3]["egress_interface"] = np.uint32(7)
    batches = [make_batch(1, n, **columns) for n, columns in enumerate(rows)]
    log.write(batches)
    search = FlowSearch(log.directory)
    groups, total = top(search, dimension), totals(search)
    name = {"host": "host_address", "port": "transport_port", "interface": "interface"}[dimension]
    values = {row[name]: row["octets"] for row in groups}
    assert values.items() >= dict(expected).items()
    assert (total.octets, total.flows) == (1111, 4)
    with pytest.raises(InvalidQueryError, match="a flow is in two rows"):
        top(search, dimension, limit=1, other=True)


@pytest.mark.parametrize("dimension", ["source", "application", "vlan"])
def test_top_when_a_value_is_absent_in_two_ways_then_one_group(
    log: Any, make_batch: Any, dimension: str
) -> None:
    source = v4("10.0.0.1")
    absent = {"application_id": np.uint64(0), "vlan_id": np.uint16(0)}
    batches = [
        make_batch(1, 0, source_address_lo=source, source_address_hi=None),
        make_batch(1, 1, source_address_lo=source, **absent),
    ]
    log.write(batches)
    (row,) = top(FlowSearch(log.directory), dimension)
    assert row["flows"] == 2
