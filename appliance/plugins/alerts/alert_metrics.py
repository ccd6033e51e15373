"""How many alerts are open, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance import Settings
from appliance.plugins.alerts.rules import SEVERITIES
from appliance.plugins.alerts.store import alert_store
from appliance.plugins.alerts.user_rules import accounts_with_rules, user_store

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class AlertMetrics:
    """Reads them at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, alert_store(settings)

    def collect(self) -> Iterator[Metric]:
        """Yield the number of open alerts by severity: of the appliance, and of users."""
        from prometheus_client.core import GaugeMetricFamily

        counts = self._store.open_by_severity()
        family = GaugeMetricFamily(
            "appliance_open_alerts", "Alerts that go on.", labels=["severity"]
        )
        for severity in SEVERITIES:
            family.add_metric([severity], counts.get(severity, 0))
        yield family
        of_users: Counter[str] = Counter()
        for account in accounts_with_rules(self._settings):
            of_users.update(user_store(self._settings, account, 0).open_by_severity())
        family = GaugeMetricFamily(
            "appliance_open_user_alerts",
            "Alerts that go on, of users who are bound to a filter together.",
            labels=["severity"],
        )
        for severity in SEVERITIES:
            family.add_metric([severity], of_users[severity])
        yield family
