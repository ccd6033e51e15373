"""A route, GET /biggest, says which ports carried most, and a page of the console shows them."""

from __future__ import annotations

from appliance import USER, FlowStore, Page, RequestError, Route, Selection, hookimpl

MOST = 100

PAGE = """
import { html, Panel, Shown, si, Table, useAnswer } from "console"

const columns = [
  { key: "port", title: "port", className: "grow" },
  { key: "octets", title: "octets", isNumber: true, show: (row) => si(row.octets, "B") },
]

export default function Biggest() {
  const answer = useAnswer("/biggest/20")
  return html`<div class="page-head"><h1>Biggest ports</h1></div>
    <${Panel}><${Shown} answer=${answer} isEmpty=${(data) => !data.ports.length}>
      ${(data) => html`<${Table} caption="Biggest ports" columns=${columns} rows=${data.ports} />`}
    <//><//>`
}
"""


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


@hookimpl
def register_pages() -> list[Page]:
    """Register the page."""
    return [Page("Biggest", "biggest", PAGE, role=USER)]
