"""What the writer counts, as Prometheus scrapes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.plugins.clickhouse.status import read_status

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_COUNTERS = {
    "rows": "Rows of the flow log that were written to ClickHouse",
    "batches": "Batches of rows that were written to ClickHouse",
    "rows_lost": "Rows that the flow log no longer had when they had to be written again",
    "errors": "Attempts to write to ClickHouse that failed",
}
_GAUGES = {
    "written_at": (
        "written_timestamp_seconds",
        "When something was last written to ClickHouse, 0 for never",
    ),
    "newest_row": (
        "newest_row_timestamp_seconds",
        "When the newest flow that ClickHouse has was received, 0 for none",
    ),
    "failing_since": (
        "failing_since_timestamp_seconds",
        "Since when nothing can be written to ClickHouse, 0 while it can",
    ),
}


class WriterMetrics:
    """Reads the writer's file at each scrape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; none before the writer has begun."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = read_status(self._folder)
        if status is None:
            return
        numbers, _ = status
        for name, text in _COUNTERS.items():
            yield _with_value(
                CounterMetricFamily(f"appliance_clickhouse_{name}", text), numbers[name]
            )
        for name, (metric, text) in _GAUGES.items():
            yield _with_value(
                GaugeMetricFamily(f"appliance_clickhouse_{metric}", text), numbers[name]
            )


def _with_value(family: Any, value: float) -> Any:
    family.add_metric([], value)
    return family
