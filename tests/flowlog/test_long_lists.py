"""Lists of addresses: of long ones first the files that hold any, then those in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.flowlog import FlowQuestion, FlowSearch, sources
from appliance.query.address_lists import AddressLists
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.names import LogNames
from appliance.query.question import Question
from tests.query.reference import Flow, batch_of

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS


@pytest.mark.parametrize("side", ["ip", "src ip", "dst ip"])
def test_flows_when_a_long_list_is_in_few_files_then_only_those_are_read_in_full(
    log: Any, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    hours = [START_MS + n * HOUR_MS for n in range(3)]
    batches = [[Flow(n, 9, 1, 2, 10, 0, at, at)] * 5000 for n, at in enumerate(hours, 1)]
    rare = [(77, 9), (9, 77), (77, 77)]
    batches[1] += [Flow(*ends, 1, 2, 10, 0, hours[1], hours[1]) for ends in rare]
    for batch in batches:
        log.write([batch_of(batch)])
        log.maintain()
    search = FlowSearch(log.directory)
    kept: list[int] = []
    choose = sources._files_with_any

    def counted(*given: Any) -> Any:
        chosen = choose(*given)
        kept.append(len(chosen.paths))
        return chosen

    monkeypatch.setattr(sources, "_files_with_any", counted)
    listed = " ".join(f"10.0.0.{n}" for n in range(59, 160, 2))
    expected = {"ip": 3, "src ip": 2, "dst ip": 2}[side]
    for since_ms, rows in ((0, expected), (hours[1] + 1, 0)):
        question = FlowQuestion(since_ms, conditions=parse_conditions([f"{side} in [{listed}]"]))
        assert search.flows(question).num_rows == rows
    frequent = " ".join(f"10.0.0.{n}" for n in range(1, 100, 2))
    assert (
        search.flows(FlowQuestion(conditions=parse_conditions([f"ip in [{frequent}]"]))).num_rows
        == 100
    )
    assert kept == [1, 0, 3]


def test_top_when_a_list_of_addresses_is_empty_then_nothing_is_in_it(
    log: Any, tmp_path: Path
) -> None:
    log.write([batch_of([Flow(1, 9, 1, 2, 10, 0, START_MS, START_MS)])])
    log.maintain()
    search = FlowSearch(log.directory)
    listed = tmp_path / "bad.txt"
    listed.write_text("# nobody yet\n")
    names = LogNames(search, lists=AddressLists({"bad": listed}))
    question = Question(("source",), conditions=parse_conditions(["ip in @bad"], names))
    assert QueryEngine(search).top(question).total["flows"] == 0
