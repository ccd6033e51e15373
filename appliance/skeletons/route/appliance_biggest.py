"""A route: GET /biggest says which ports carried most, whatever the store."""

from __future__ import annotations

from appliance import USER, FlowStore, RequestError, Route, Selection, hookimpl

MOST = 100


def biggest(store: FlowStore, n: str) -> dict[str, object]:
    """Answer GET /biggest/<n>: `store` is the store of flows, `n` the part of the path."""
    if not n.isdecimal() or not 1 <= int(n) <= MOST:
        raise RequestError(400, f"Expected a number from 1 to {MOST}")
    answer = store.top("port", Selection(), "octets", int(n))
    return {
        "ports": [{"port": row.key, "octets": row.octets} for row in answer.rows],
        "total": answer.total._asdict(),
    }


@hookimpl
def register_routes() -> list[Route]:
    """Register the route; programs on this machine need no token."""
    return [Route("GET", "/biggest/<n>", biggest, role=USER, open_from_loopback=True)]
