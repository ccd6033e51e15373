"""What is asked of the appliance as a whole: its figures, its health, exporters, plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance import SIGNED_IN, Route
from appliance.plugins.metrics.exporter_list import EXAMPLE, HEALTH_EXAMPLE, exporters, one_health
from appliance.plugins.metrics.health import health
from appliance.plugins.metrics.packages import EXAMPLE as PACKAGES
from appliance.plugins.metrics.packages import packages_needed
from appliance.plugins.metrics.prometheus import scrape
from appliance.web.openapi import operation

_TAG = "Appliance"
_PLUGINS = {"plugins": [{"name": "host", "from": "built in", "hooks": ["register_routes"]}]}


def plugin_list(plugins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is loaded, in the order in which plugins are asked to register."""
    return {"plugins": list(plugins)}


def metrics_routes() -> list[Route]:
    """Return `/metrics` and what is asked of the appliance as a whole."""
    example = {"success": True, "message": "All is well", "status": "ok"}
    others: tuple[tuple[str, Callable[..., object], str, object], ...] = (
        ("/api/v1/exporters", exporters, "Exporters and their sessions", EXAMPLE),
        (
            "/api/v1/exporters/<device>/health",
            one_health,
            "How an exporter is, by ID or address",
            HEALTH_EXAMPLE,
        ),
        ("/api/v1/plugins", plugin_list, "Plugins and their hooks", _PLUGINS),
        ("/api/v1/packages", packages_needed, "Python packages and their licences", PACKAGES),
    )
    return [
        Route(
            "GET",
            "/metrics",
            scrape,
            role=SIGNED_IN,
            schema=operation("Figures for Prometheus", content_type="text/plain", tag=_TAG),
            open_from_loopback=True,
        ),
        Route(
            "GET",
            "/api/v1/health",
            health,
            role=SIGNED_IN,
            schema=operation("How the appliance is", example, tag=_TAG),
            open_from_loopback=True,
        ),
        *(
            Route("GET", path, handler, role=SIGNED_IN, schema=operation(text, shown, tag=_TAG))
            for path, handler, text, shown in others
        ),
    ]
