"""The web application over a flow log."""

from tests.web.conftest import client, store

__all__ = ["client", "store"]
