"""What each target of replication got and lacks, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.plugins.replicate.figures import fresh_figures

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LOSSES = {"dropped": "queue_full", "failed": "network"}
"""By count: the value of the label `reason`."""


class ReplicationMetrics:
    """Reads the collector's figures at each scrape."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def collect(self) -> Iterator[Metric]:
        """Yield the counters by target."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        figures = fresh_figures(self._data)
        sent = CounterMetricFamily(
            "appliance_replicated_datagrams", "Copies sent to a target.", labels=["target"]
        )
        lost = CounterMetricFamily(
            "appliance_replication_lost_datagrams",
            "Copies that a target did not get: its queue was full, or the network took them not.",
            labels=["target", "reason"],
        )
        refused = CounterMetricFamily(
            "appliance_replication_refusals",
            "How often a target's machine said that nobody listens.",
            labels=["target"],
        )
        own = CounterMetricFamily(
            "appliance_replicated_own_source_datagrams",
            "Copies that were sent from this machine's address, not the exporter's.",
            labels=["target"],
        )
        waiting = GaugeMetricFamily(
            "appliance_replication_waiting_octets", "Memory of copies that wait.", labels=["target"]
        )
        for target, counts in figures.items():
            sent.add_metric([target], counts.get("sent", 0))
            for name, reason in LOSSES.items():
                lost.add_metric([target, reason], counts.get(name, 0))
            refused.add_metric([target], counts.get("refused", 0))
            own.add_metric([target], counts.get("own_source", 0))
            waiting.add_metric([target], counts.get("waiting_octets", 0))
        yield from (sent, lost, refused, own, waiting)
