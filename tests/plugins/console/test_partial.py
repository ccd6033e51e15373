"""An answer that lacks a shard says so where it is shown."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.plugins.console.conftest import Watched

NAME = "shard 2 (192.0.2.7:9000, 192.0.2.8:9000)"


def lacking(route: Any) -> None:
    """Answer as if a shard were down."""
    answer = route.fetch()
    if not answer.headers.get("content-type", "").startswith("application/json"):
        route.fulfill(response=answer)
        return
    route.fulfill(response=answer, json={**answer.json(), "partial": True, "missing": [NAME]})


def test_explore_when_a_shard_is_missing_then_marked_with_its_name(console: Watched) -> None:
    console.page.route("**/api/v1/explore/**", lacking)
    page = console.open("explore")
    marks = page.locator(
        ".provenance", has_text=re.compile("^\\s*partial from .* without " + re.escape(NAME))
    )
    expect(marks.first).to_be_visible(timeout=20_000)


def test_top_list_when_a_shard_is_missing_then_marked_even_where_it_is_empty(
    console: Watched,
) -> None:
    console.page.route("**/api/v1/explore/**", lacking)
    page = console.open("hosts/192.0.2.222")
    panel = page.get_by_role("region", name="Services")
    expect(panel).to_contain_text(f"partial without {NAME}", timeout=20_000)
