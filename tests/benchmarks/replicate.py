"""What copies of datagrams for another collector cost, next to nfcapd's repeater."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import Appliance, Nfcapd, Tree, free_port
from tests.benchmarks.copies import counting
from tests.benchmarks.whole import measure

Make = Callable[[Path, int], Tree]


class RepeatingNfcapd(Nfcapd):
    """nfcapd that sends copies on, from its own address."""

    name = "nfcapd -R"

    def __init__(self, folder: Path, copies_port: int) -> None:
        super().__init__(folder)
        self._copies_port = copies_port

    def command(self) -> list[str]:
        """Return the command line."""
        return [*super().command(), "-R", f"127.0.0.1/{self._copies_port}"]


def replicating(folder: Path, port: int, *, keep_source: bool) -> Appliance:
    """Return an appliance with one target."""
    targets = {
        "replicate.targets": f"[127.0.0.1:{port}]",
        "replicate.keep_source": str(keep_source).lower(),
    }
    return Appliance(folder, settings=targets)


def replicate(folder: Path, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send the same to each, without and with copies; return CPU a datagram and what is lacking."""
    ways: dict[str, Make] = {
        "appliance": lambda own, _port: Appliance(own),
        "appliance, copies from exporters": lambda own, port: replicating(
            own, port, keep_source=True
        ),
        "appliance, copies from its own address": lambda own, port: replicating(
            own, port, keep_source=False
        ),
    }
    if Nfcapd.available():
        ways["nfcapd"] = lambda own, _port: Nfcapd(own)
        ways["nfcapd -R"] = RepeatingNfcapd
    return {
        name: _measured(make, folder / str(number), protocol, rate, seconds)
        for number, (name, make) in enumerate(ways.items())
    }


def _measured(
    make: Make, folder: Path, protocol: str, rate: float, seconds: float
) -> dict[str, float]:
    port = free_port()
    counts: dict[str, int] = {}
    with counting(port) as copies:

        def settle(_sent: dict[str, Any]) -> dict[str, Any]:
            counts.update(copies.count())
            return {}

        figures = measure(make(folder, port), protocol, rate, seconds, settle)
    sent = figures["sent_datagrams"]
    return {
        "datagrams_per_second": sent / seconds,
        "us_per_datagram": figures["cpu_seconds"] / sent * 1e6,
        "lost_flows": figures["lost_flows"],
        "copies_lacking": sent - counts["datagrams"],
        "copies_dropped_at_the_target": counts["kernel_drops"],
    }
