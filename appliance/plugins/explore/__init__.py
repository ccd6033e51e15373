"""The query engine for the web: any flows, grouped or single, below `/api/v1/explore`."""

from __future__ import annotations

from appliance import Route, hookimpl


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes below `/api/v1/explore`."""
    from appliance.plugins.explore.routes import explore_routes

    return explore_routes()
