"""`/api/v1/decode`: what the decoders make of a capture, for "why is my data wrong?"."""

from __future__ import annotations

from appliance import Route, hookimpl


@hookimpl
def register_routes() -> list[Route]:
    """Return the route."""
    from appliance.plugins.captures.routes import capture_routes

    return capture_routes()
