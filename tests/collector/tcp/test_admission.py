"""Connections leave files to the flow log."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from appliance.collector.tcp.admission import (
    OTHER_DESCRIPTORS,
    ConnectionLimits,
    with_descriptors,
)

PROGRAM = """
import resource
from appliance.collector.tcp.admission import ConnectionLimits, with_descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
limits, warning = with_descriptors(ConnectionLimits(connections={connections}))
print(limits.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0], warning)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "expected"),
    [
        (1024, 4096, 512, "512 1024"),
        (300, 4096, 512, f"512 {512 + OTHER_DESCRIPTORS}"),
        (
            300,
            600,
            512,
            f"{600 - OTHER_DESCRIPTORS} 600 collector.max_connections: 344 in place of",
        ),
    ],
)
def test_descriptors_when_too_few_then_raised_or_fewer_connections(
    soft: int, hard: int, connections: int, expected: str
):
    program = PROGRAM.format(soft=soft, hard=hard, connections=connections)
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.startswith(expected)


def test_descriptors_when_there_are_enough_then_nothing_changes():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert with_descriptors(ConnectionLimits(connections=1)) == (ConnectionLimits(1), "")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
