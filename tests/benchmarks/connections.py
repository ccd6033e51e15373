"""The whole way over TCP next to UDP: the same messages, at the same rate, in the same run."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import Appliance
from tests.benchmarks.whole import measure


def connections(folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Send IPFIX by both ways, one after the other; return what the appliance made of it."""
    report: dict[str, Any] = {"udp": measure(Appliance(folder / "udp"), "ipfix", rate, seconds)}
    port = _free_port()
    subject = Appliance(folder / "tcp", settings={"collector.listen_tcp": f"127.0.0.1:{port}"})
    report["tcp"] = measure(subject, "ipfix", rate, seconds, tcp_port=port)
    report["ratio_flows_per_cpu_second"] = (
        report["tcp"]["flows_per_cpu_second"] / report["udp"]["flows_per_cpu_second"]
    )
    return report


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
