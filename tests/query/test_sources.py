"""What a plugin offers for `search.source` answers in place of the flow log, and is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.app import App, build_app
from appliance.contracts import (
    SourceColumn,
    SourceGroups,
    SourceRows,
    SourceSample,
    SourceSums,
    SumsQuestion,
)
from appliance.errors import InvalidQueryError, StartupError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.questions import FlowQuestion
from appliance.flows import COLLECTION_TIME, V4_MAPPED
from appliance.guard import PluginError
from appliance.hookspecs import hookimpl
from appliance.plugin_manager import add_plugin, build_plugin_manager
from appliance.query.engine import QueryEngine, engine_from_settings
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.query.sources import query_source, set_query_sources
from appliance.settings.file import SettingsFile


class Memory:
    """Answers as it is told."""

    groups: Any = SourceGroups({}, {"octets": 5.0}, missing=("shard 7",))
    rows: Any = SourceRows({})
    summed: Any = SourceSums({})

    def rows_between(self, *_: object) -> int:
        return 3

    def oldest_ms(self, *_: object) -> int | None:
        return None

    def top(self, *_: object) -> Any:
        return self.groups

    def series(self, *_: object) -> Any:
        return self.rows

    def flows(self, *_: object) -> Any:
        return self.rows

    def stream(self, *_: object) -> Any:
        return iter([self.rows])

    def sums(self, *_: object) -> Any:
        return self.summed


class Estimating(Memory):
    """Has samples of its ten flows."""

    estimated: Any = None
    alone: Any = None

    def rows_between(self, *_: object) -> int:
        return 10

    def range_of_samples_alone(self, *_: object) -> Any:
        return self.alone

    def estimate_top(self, *_: object) -> Any:
        return self.estimated

    def estimate_series(self, *_: object) -> Any:
        return None


@pytest.fixture
def source() -> Any:
    yield Memory()
    set_query_sources({}, SettingsFile(None, Path(), {}).settings([]))


@pytest.fixture
def estimating(source: Memory) -> Estimating:
    return Estimating()


def app_with(source: Memory, folder: Path) -> App:
    class Plugin:
        @hookimpl
        def register_query_sources(self) -> dict[str, Any]:
            return {"memory": lambda settings: source}

    manager = build_plugin_manager(built_in=(), entry_points=())
    add_plugin(manager, Plugin(), "site")
    tree = {"search": {"source": "memory"}, "data_directory": str(folder)}
    return build_app(manager, SettingsFile(None, folder, tree))


def test_engine_when_a_plugin_has_the_source_then_it_answers(source: Memory, tmp_path: Path):
    values = np.array([V4_MAPPED | 0x0A000001], np.uint64)
    one = SourceColumn(np.array([7.0]))
    columns = {"source_address_hi": SourceColumn(np.zeros(1, np.uint64))}
    columns |= {"source_address_lo": SourceColumn(values), "octets": one}
    columns |= {"packets": one, "flows": one}
    source.groups = SourceGroups(columns, {"octets": 9.0}, True, ("shard 7",))
    app = app_with(source, tmp_path)
    answer = engine_from_settings(app.settings).top(Question(("source",), other=True))
    assert answer.rows.to_pylist() == [
        {"source_address": "10.0.0.1", "octets": 7, "packets": 7, "flows": 7}
    ]
    assert answer.other == {"octets": 2, "packets": 0, "flows": 0}
    assert answer.total["octets"] == 9
    assert answer.provenance.missing == ("shard 7",)


def test_engine_when_the_source_has_nothing_then_no_rows(source: Memory, tmp_path: Path):
    engine = engine_from_settings(app_with(source, tmp_path).settings)
    assert engine.top(Question(("source", "tcp_flags"))).rows.num_rows == 0


@pytest.mark.parametrize(
    "groups",
    [
        None,
        SourceGroups({"octets": np.zeros(1)}),  # type: ignore[dict-item]
        SourceGroups(
            {"octets": SourceColumn(np.zeros(1)), "flows": SourceColumn(np.zeros(2))},
        ),
        SourceGroups({"octets": SourceColumn(np.zeros(2), np.zeros(1, bool))}),
        SourceGroups({}, {"octets": "many"}),  # type: ignore[dict-item]
        SourceGroups({}, missing=("x", 1)),  # type: ignore[arg-type]
    ],
)
def test_engine_when_the_source_answers_nonsense_then_counted(
    source: Memory, tmp_path: Path, groups: Any
):
    source.groups = groups
    app = app_with(source, tmp_path)
    with pytest.raises(PluginError, match="site"):
        engine_from_settings(app.settings).top(Question(("source",)))


def test_engine_when_the_source_estimates_then_of_many_or_old_flows_only(
    estimating: Estimating, tmp_path: Path
):
    source, app = estimating, app_with(estimating, tmp_path)
    few = QueryEngine(engine_from_settings(app.settings).search, tmp_path, 10)
    many = QueryEngine(few.search, tmp_path, 9)
    assert many.top(Question()).provenance.method == "exact"
    figures = {"octets": 7.0, "octets_variance": 4.0, "sampled_rows": 2.0}
    source.estimated = SourceGroups({}, figures, sample=SourceSample(2, 12))
    answer = many.top(Question())
    assert (answer.total["octets"], answer.total["octets_error"]) == (7, 2)
    assert answer.provenance.method == "sampled"
    assert (answer.provenance.rows_scanned, answer.provenance.rows_in_range) == (2, 12)
    assert few.top(Question()).provenance.method == "exact"
    assert many.top(Question(exact=True)).provenance.method == "exact"
    assert many.top(Question(measures=("sources",))).provenance.method == "exact"
    source.alone = (1000, 2000)
    assert few.stored_from_ms() == 1000
    assert few.top(Question(since_ms=1999)).provenance.method == "sampled"
    assert few.top(Question(since_ms=2000)).provenance.method == "exact"


def test_engine_when_the_source_estimates_nonsense_then_counted(
    estimating: Estimating, tmp_path: Path
):
    estimating.estimated = SourceGroups({}, sample=SourceSample("two", 3))  # type: ignore[arg-type]
    app = app_with(estimating, tmp_path)
    engine = QueryEngine(engine_from_settings(app.settings).search, tmp_path)
    with pytest.raises(PluginError, match="site"):
        engine.top(Question())


def test_flows_when_octets_are_asked_for_then_one_sentence(source: Memory, tmp_path: Path):
    search = engine_from_settings(app_with(source, tmp_path).settings).search
    asked = FlowQuestion(columns=("octets_0_82",))
    for ask in (search.flows, lambda question: list(search.stream_flows(question))):
        with pytest.raises(InvalidQueryError, match="octets_0_82 is in the flow log only"):
            ask(asked)


def test_app_when_two_plugins_have_one_source_then_refused(source: Memory, tmp_path: Path):
    class Plugin:
        @hookimpl
        def register_query_sources(self) -> dict[str, Any]:
            return {"memory": lambda settings: source}

    manager = build_plugin_manager(built_in=(), entry_points=())
    add_plugin(manager, Plugin(), "one")
    add_plugin(manager, Plugin(), "two")
    with pytest.raises(StartupError, match="query source memory: both one and two have it"):
        build_app(manager, SettingsFile(None, tmp_path, {}))


def test_sums_when_a_source_returns_something_else_then_counted_and_named(
    source: Memory, tmp_path: Path
):
    app = app_with(source, tmp_path)
    asked = query_source(app.settings)
    assert asked is not None
    with pytest.raises(PluginError, match="site"):
        asked.sums(SumsQuestion((), 0, 60), QueryLimits())
    one = SourceColumn(np.array([7], np.uint64))
    source.summed = SourceSums(dict.fromkeys(("octets", "packets", "flows"), one))
    assert asked.sums(SumsQuestion((), 0, 60), QueryLimits()) is source.summed


def test_source_when_the_engine_is_bound_then_asked_within_the_filter_and_not_named(
    source: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Any] = []

    def heard(name: str) -> None:
        answer = getattr(source, name)
        monkeypatch.setattr(source, name, lambda q, *more: asked.append(q) or answer(q, *more))

    source.groups = replace(source.groups, missing=("shard 7",))
    source.rows = SourceRows({COLLECTION_TIME: SourceColumn(np.zeros(0, np.int64))})
    for name in ("top", "flows", "stream"):
        heard(name)
    within = parse_conditions(["ip 10.1.0.0/16"])
    engine = engine_from_settings(app_with(source, tmp_path).settings).bound_to(within)
    answer = engine.top(Question())
    question = FlowQuestion(columns=(COLLECTION_TIME,))
    engine.page(question, None)
    assert list(engine.export(question, "json").pieces()) == []
    assert len(asked) >= 4
    assert all(one.conditions == within for one in asked)
    assert (answer.provenance.missing, engine.missing()) == (
        ("a part of the database",),
        ("a part of the database",),
    )
