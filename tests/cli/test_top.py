"""`appliance top`: groups, order, the rest, and what is said when the question is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flowlog.questions import DIMENSIONS
from appliance.flows import FlowBatch
from appliance.wire.block import V4_MAPPED


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A flow log: 10.0.0.n sends n flows of 10 octets each, n from 1 to 5, sampled 1 in 100."""
    path = tmp_path / "flowlog"
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    source = np.repeat(np.arange(1, 6), np.arange(1, 6)).astype("u8")
    columns = {
        "source_address_lo": source | V4_MAPPED | 0x0A000000,
        "protocol_identifier": np.full(15, 17, "u1"),
        "source_transport_port": np.full(15, 40000, "u2"),
        "destination_transport_port": np.full(15, 53, "u2"),
        "octet_delta_count": np.full(15, 10, "u8"),
        "packet_delta_count": np.full(15, 1, "u8"),
        "sampling_rate": np.full(15, 100.0),
    }
    writer.append(FlowBatch(15, columns))
    writer.flush({}, 1)
    writer.close(1)
    return path


def rows(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    given = ["top", *(str(argument) for argument in arguments), "--format", "json"]
    assert run_command_line(group, given) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_top_when_asked_then_biggest_first_and_the_rest(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "--directory", directory, "--limit", 2, "--other")
    assert found == [
        {"source_address": "10.0.0.5", "octets": 5000, "packets": 500, "flows": 5},
        {"source_address": "10.0.0.4", "octets": 4000, "packets": 400, "flows": 4},
        {"octets": 6000, "packets": 600, "flows": 6},
    ]


def test_top_when_raw_and_filtered_then_as_received(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "service", "source=10.0.0.3", "--raw", "--directory", directory)
    assert found == [
        {"protocol_identifier": 17, "service_port": 53, "octets": 30, "packets": 3, "flows": 3}
    ]
    assert rows(capsys, "source=10.0.0.3", "--directory", directory)[0]["flows"] == 3


@pytest.mark.parametrize("dimension", list(DIMENSIONS))
@pytest.mark.parametrize("order", ["octets", "packets", "flows"])
def test_top_when_any_dimension_and_order_then_everything_is_counted(
    directory: Path, capsys: pytest.CaptureFixture[str], dimension: str, order: str
) -> None:
    found = rows(capsys, dimension, "--order", order, "--directory", directory)
    # Each has two ports, one on either side.
    assert sum(row["flows"] for row in found) == (30 if dimension == "port" else 15)


def test_top_when_dimension_is_unknown_then_one_sentence(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(group, ["top", "nobody", "--directory", str(directory)]) == 2
    assert "cannot group by 'nobody', expected source" in capsys.readouterr().err
