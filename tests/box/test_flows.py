"""A real exporter in the other network: its flows arrive in the answers of both APIs."""

from __future__ import annotations

import signal

import pytest

from tests.box.networks import MANAGEMENT_BOX, MANAGEMENT_LAN
from tests.box.processes import eventually, started, stopped

PINGS = 20
ANSWER_SECONDS = 40


@pytest.fixture(params=[("9", 2055), ("10", 4739)], ids=["v9", "ipfix"])
def exporter(request, box, tmp_path):
    """softflowd that watches the cable to the box."""
    version, port = request.param
    command = ["softflowd", "-d", "-i", "lan0", "-v", version, "-n", f"{MANAGEMENT_BOX}:{port}"]
    command += ["-t", "maxlife=3", "-t", "icmp=2", "-t", "expint=1", "-t", "general=3"]
    command += ["-p", str(tmp_path / "pid"), "-c", str(tmp_path / "control")]
    process = started(box.machine.networks.in_lan(command), tmp_path / "softflowd.log")
    yield process
    # It waits for its flows to end when it is asked.
    stopped(process, signal.SIGKILL)


def pinged(box) -> None:
    box.machine.run(f"ping -q -i 0.05 -c {PINGS} -s 1000 {MANAGEMENT_LAN}")


def icmp_octets(box, token: str) -> int:
    rows = box.ask("/api/v1/netflow/getProtocolDistribution", token)
    found = rows if isinstance(rows, list) else rows.get("data", [])
    return sum(row["TotalRecordedInstances"] for row in found if row["protocol"] == "icmp")


def test_flows_when_a_real_exporter_sends_them_then_both_apis_answer_with_them(box, exporter):
    token = box.sign_in()
    before = icmp_octets(box, token)
    pinged(box)
    expected = before + 2 * PINGS * 1028
    eventually(lambda: icmp_octets(box, token) >= expected, "all there", ANSWER_SECONDS)
    talkers = box.ask("/api/v1/netflow/getIngressTopTalkers", token)
    assert MANAGEMENT_LAN in {row["HostIP"] for row in talkers}
    devices = box.ask("/v1/api/device/get/all", token)
    assert MANAGEMENT_LAN in str(devices)
