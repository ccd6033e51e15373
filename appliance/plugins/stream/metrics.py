"""How many flows each target of a stream got, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance import Settings
from appliance.flowlog.kept_place import PLACE_FILE, read_place
from appliance.plugins.stream.stream_settings import TARGETS

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class StreamMetrics:
    """Reads the places of the targets at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """Yield a counter and a time by target; none of those that got nothing yet."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        sent = CounterMetricFamily(
            "appliance_streamed_flows", "Flows that a target has, by the place kept.", labels=["to"]
        )
        moved = GaugeMetricFamily(
            "appliance_stream_moved_timestamp_seconds",
            "When the place of a target in the flow log last moved on.",
            labels=["to"],
        )
        for target in self._settings[TARGETS]:
            folder = target.folder(self._settings)
            if (place := read_place(folder)) is not None:
                sent.add_metric([str(target.to)], place["rows"])
                moved.add_metric([str(target.to)], (folder / PLACE_FILE).stat().st_mtime)
        yield from (sent, moved)
