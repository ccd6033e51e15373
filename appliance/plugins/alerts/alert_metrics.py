"""How many alerts are open, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance import Settings
from appliance.plugins.alerts.rules import SEVERITIES
from appliance.plugins.alerts.store import alert_store

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class AlertMetrics:
    """Reads them at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._store = alert_store(settings)

    def collect(self) -> Iterator[Metric]:
        """Yield the number of open alerts by severity."""
        from prometheus_client.core import GaugeMetricFamily

        counts = self._store.open_by_severity()
        family = GaugeMetricFamily(
            "appliance_open_alerts", "Alerts that go on.", labels=["severity"]
        )
        for severity in SEVERITIES:
            family.add_metric([severity], counts.get(severity, 0))
        yield family
