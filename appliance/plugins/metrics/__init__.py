"""`/metrics` for Prometheus and `/api/v1/health` for people and probes.

Both tell the same facts (`figures`): what the collector wrote to its status file, what the store
says of itself, and the disk.
"""

from __future__ import annotations

from typing import Any

from appliance import Route, Setting, Settings, hookimpl
from appliance.plugins.metrics.metric_settings import INTERFACES


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add how many interfaces have metrics of their own."""
    return [INTERFACES]


@hookimpl
def register_metrics(settings: Settings) -> list[Any]:
    """Return what the collector counts."""
    from appliance.plugins.metrics.prometheus import StatusCollector

    return [StatusCollector(settings)]


@hookimpl
def register_routes() -> list[Route]:
    """Return `/metrics` and what is asked of the appliance as a whole."""
    from appliance.plugins.metrics.routes import metrics_routes

    return metrics_routes()
