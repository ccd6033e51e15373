"""The whole way: datagrams to sealed and merged files, nothing lost, next to nfcapd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import Appliance, Nfcapd, Tree
from tests.benchmarks.processes import sampled_memory, udp_port
from tests.benchmarks.sender import sender


def whole(folder: Path, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send the same to both, one after the other; return what each made of it."""
    report: dict[str, Any] = {
        "appliance": measure(Appliance(folder / "ours"), protocol, rate, seconds)
    }
    if Nfcapd.available():
        report["nfcapd"] = measure(Nfcapd(folder / "nfcapd"), protocol, rate, seconds)
        ours, theirs = report["appliance"], report["nfcapd"]
        report["ratio_flows_per_cpu_second"] = (
            ours["flows_per_cpu_second"] / theirs["flows_per_cpu_second"]
        )
        report["ratio_octets_per_flow"] = ours["octets_per_flow"] / theirs["octets_per_flow"]
    return report


def measure(
    subject: Tree,
    protocol: str,
    rate: float,
    seconds: float,
    settle: Callable[[dict[str, Any]], dict[str, Any]] = lambda _sent: {},
    tcp_port: int | None = None,
) -> dict[str, Any]:
    """Send at a rate for so long; return flows sent and stored, processor, disk and memory.

    Parameters
    ----------
    settle
        Called with what was sent before the collector is stopped; returns further figures.
    tcp_port
        Where it is sent over TCP; None: over UDP.
    """
    subject.start()
    with (
        sender(tcp_port or subject.port, protocol, rate, seconds, tcp=bool(tcp_port)) as ready,
        sampled_memory(subject.pid) as memory,
    ):
        sent = ready.send()
        socket_now = udp_port(subject.port)
        drops = socket_now.drops if socket_now else -1
        settled = settle(sent)
    result = subject.stop() | settled
    flows = result["flows"]
    return result | {
        "sent_flows": sent["flows"],
        "sent_datagrams": sent["datagrams"],
        "sent_flows_per_second": sent["flows"] / sent["seconds"],
        "sender_cpu_seconds": sent["cpu_seconds"],
        "lost_flows": sent["flows"] - flows,
        "socket_drops": drops,
        "receive_buffer_octets": subject.buffer_octets,
        "flows_per_cpu_second": flows / result["cpu_seconds"],
        "octets_per_flow": result["disk_octets"] / max(flows, 1),
        "peak_memory_octets": memory.peak,
        "memory_growth": memory.growth,
    }
