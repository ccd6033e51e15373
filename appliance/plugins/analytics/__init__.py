"""Talkers, applications, protocols and hours by the published API, from the store's roll-ups."""

from __future__ import annotations

from appliance import Route, hookimpl


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/netflow/`."""
    from appliance.plugins.analytics.routes import analytics_routes

    return analytics_routes()
