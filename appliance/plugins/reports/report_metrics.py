"""How reports went, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance import Settings
from appliance.plugins.reports.report_store import COUNTERS, WAITING, report_store

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_HELP = {
    "made": "Named reports that were made and kept.",
    "sent": "Mails with reports that a mail server took.",
    "failed": "Tries to make or send a report that failed.",
    "refused": "Recipients of reports that a mail server refused for good.",
    "given_up": "Reports that were not sent to anybody in a day, or before the next one.",
}


class ReportMetrics:
    """Reads the store at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._store = report_store(settings)

    def collect(self) -> Iterator[Metric]:
        """Yield counters of reports, and how many wait to be sent."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counts = self._store.counts()
        for name in COUNTERS:
            yield CounterMetricFamily(f"appliance_reports_{name}", _HELP[name], counts[name])
        waiting = sum(one.state == WAITING for one in self._store.deliveries().values())
        yield GaugeMetricFamily(
            "appliance_reports_waiting", "Reports that are to be made or sent again.", waiting
        )
