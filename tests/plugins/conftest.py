"""The plugins that answer over the web are tested with the same parts as the web server."""

from __future__ import annotations

from tests.web.conftest import appliance, client, client_of, settings, store

__all__ = ["appliance", "client", "client_of", "settings", "store"]
