"""What a feed brings of another program's table is redacted as what was received."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.flowlog import FlowQuestion, FlowSearch
from appliance.plugins.anonymise.address_map import address_map_of
from appliance.plugins.anonymise.key_files import write_new_key
from appliance.plugins.anonymise.single_addresses import replaced_of
from tests.asking import Totals
from tests.collector.test_late_rows import Feeding


@pytest.fixture
def feeding(tmp_path: Path) -> Iterator[Feeding]:
    made = Feeding(tmp_path)
    write_new_key(tmp_path / "key")
    (tmp_path / "appliance.yml").write_text(
        "data_directory: data\nanonymise: {networks: all, key_file: key}\n"
    )
    made.restart()
    yield made
    made.close()


def sources(feeding: Feeding) -> set[str]:
    question = FlowQuestion(columns=("source_address",), limit=None)
    rows = FlowSearch(feeding.folder / "data" / "flowlog").flows(question).to_pylist()
    return {row["source_address"] for row in rows}


def test_bins_when_anonymised_then_replaced_and_late_rows_still_counted_once(
    feeding: Feeding,
) -> None:
    feeding.insert("198.51.100.1", 1000)
    assert feeding.after(0) == Totals(1, 1, 1000)
    feeding.insert("198.51.100.2", 500)
    assert feeding.after(60) == Totals(2, 2, 1500)
    assert feeding.after(3600) == Totals(2, 2, 1500)
    table = address_map_of(open_app(feeding.folder).settings)
    expected = {replaced_of(table, text) for text in ("198.51.100.1", "198.51.100.2")}
    assert sources(feeding) == expected


def test_bins_when_a_redactor_fails_then_they_wait_in_their_table(
    feeding: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert feeding.collector is not None
    (redactor,) = feeding.collector.parts.redactors
    feeding.insert("198.51.100.1", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(redactor, "_redactor", lambda batch: None)
        assert feeding.after(0) == Totals(0, 0, 0)
    assert feeding.after(0) == Totals(1, 1, 1000)
