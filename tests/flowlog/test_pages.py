"""Single flows page by page, while the log grows and its files change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.flowlog.pages import flow_page
from appliance.flowlog.questions import FlowQuestion
from appliance.flowlog.search import FlowSearch
from appliance.flows import FlowBatch
from appliance.query.language.duckdb import parse_conditions
from tests.flowlog.conftest import NOW_MS

COLUMNS = ("collection_time_milliseconds", "source_transport_port", "octet_delta_count")


def flows(*rows: tuple[int, int, int]) -> FlowBatch:
    """Return flows of a time (milliseconds after NOW_MS), a port and octets."""
    times, ports, octets = (list(column) for column in zip(*rows, strict=True))
    return FlowBatch(
        len(rows),
        {
            "collection_time_milliseconds": np.array(times, "i8") + NOW_MS,
            "source_transport_port": np.array(ports, "u2"),
            "octet_delta_count": np.array(octets, "u8"),
        },
    )


def question(limit: int, filter_text: str = "", since_ms: int = 0) -> FlowQuestion:
    conditions = parse_conditions([filter_text])
    return FlowQuestion(since_ms, NOW_MS + 10**9, conditions, limit, order=None, columns=COLUMNS)


def rows_of(table: Any) -> list[tuple[int, int, int]]:
    return [
        (round(row[COLUMNS[0]].timestamp() * 1000) - NOW_MS, row[COLUMNS[1]], row[COLUMNS[2]])
        for row in table.to_pylist()
    ]


def all_pages(search: FlowSearch, asked: FlowQuestion, between: Any = None) -> list[Any]:
    """Return the rows of all pages; `between` is called after each."""
    pages, cursor = [], None
    while True:
        page = flow_page(search, asked, cursor)
        pages.append(rows_of(page.rows))
        cursor = page.cursor
        if cursor is None:
            return pages
        assert len(pages[-1]) == asked.limit
        assert len(pages) < 100
        if between is not None:
            between(len(pages))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=30
    ),
    limit=st.integers(1, 7),
    split=st.integers(0, 30),
)
def test_pages_when_read_to_the_end_then_every_flow_once_newest_first(
    new_log: Any, rows: list[tuple[int, int, int]], limit: int, split: int
) -> None:
    log = new_log()
    log.write(*([flows(*part)] for part in (rows[:split], rows[split:]) if part))
    log.maintain()
    pages = all_pages(FlowSearch(log.directory), question(limit))
    listed = [row for page in pages for row in page]
    assert sorted(listed) == sorted(rows)
    assert [row[0] for row in listed] == sorted((row[0] for row in rows), reverse=True)


@pytest.mark.parametrize("is_sealed_meanwhile", [False, True])
def test_pages_when_flows_come_in_meanwhile_then_none_is_missed_or_repeated(
    log: Any, is_sealed_meanwhile: bool
) -> None:
    """As many as those of a burst: of the very millisecond that a page ends in, and newer ones."""
    first = [(n // 20, n % 7, n % 3) for n in range(100)]
    log.write([flows(*first)])
    later: list[tuple[int, int, int]] = []

    def grow(n_pages: int) -> None:
        new = [(4 - n_pages // 2, 60_000 + n_pages, port) for port in range(5)]
        new += [(50, 1, n_pages)]
        later.extend(new)
        log.write([flows(*new)])
        if is_sealed_meanwhile:
            log.maintain()

    pages = all_pages(FlowSearch(log.directory), question(9), grow)
    listed = [row for page in pages for row in page]
    of_first = [row for row in listed if row not in later]
    assert sorted(of_first) == sorted(first)
    assert len(set(later)) == len(later)
    assert all(listed.count(row) <= 1 for row in later)


def test_page_when_flows_are_all_alike_then_each_is_counted(log: Any) -> None:
    log.write([flows(*[(5, 443, 100)] * 23)])
    pages = all_pages(FlowSearch(log.directory), question(10))
    assert [len(page) for page in pages] == [10, 10, 3]


def test_page_when_few_flows_fit_then_found_however_long_ago(log: Any) -> None:
    day = 86_400_000
    log.write([flows((-30 * day, 53, 1), (-2 * day, 53, 2), (-1, 53, 3), *[(0, 443, 4)] * 50)])
    search = FlowSearch(log.directory)
    assert all_pages(search, question(2, "port 53")) == [
        [(-1, 53, 3), (-2 * day, 53, 2)],
        [(-30 * day, 53, 1)],
    ]
    assert all_pages(search, question(2, "port 53", NOW_MS - day)) == [[(-1, 53, 3)]]
    assert all_pages(search, question(2, "port 9")) == [[]]
