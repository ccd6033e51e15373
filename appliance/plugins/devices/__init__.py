"""Exporter devices, their summaries and series by the published API, below `/v1/api`."""

from __future__ import annotations

from appliance import Route, hookimpl


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/v1/api`."""
    from appliance.plugins.devices.routes import device_routes

    return device_routes()
