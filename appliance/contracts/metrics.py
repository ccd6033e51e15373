"""What Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricsCollector(Protocol):
    """What Prometheus scrapes: a collector as of `prometheus_client`."""

    def collect(self) -> Iterable[Metric]:
        """Yield the families of metrics that there are now."""
        ...
