"""Engines of plugins that fail in every way: what their tables have comes into the flow log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.app import App, build_app
from appliance.collector.feeding import FeedCollector
from appliance.contracts import FeedBin
from appliance.errors import ApplianceError
from appliance.flowlog import FlowSearch
from appliance.flows import FlowBatch
from appliance.guard import PluginError
from appliance.hookspecs import hookimpl
from appliance.plugin_manager import add_plugin, new_plugin_manager
from appliance.processes.engines import filler_of
from appliance.settings.file import SettingsFile
from tests.asking import totals
from tests.guard.failing import RAISERS, raiser, returning

START_MS = 1_700_000_040_000


class Feed:
    """One bin with one flow."""

    source = "a table"

    def check(self) -> list[str]:
        return []

    def bins(self, position: str, now: float) -> Iterator[FeedBin]:
        if not position:
            columns = {"octet_delta_count": np.full(1, 77, np.uint64)}
            columns["collection_time_milliseconds"] = np.full(1, START_MS, np.int64)
            yield FeedBin("1", START_MS, START_MS + 60_000, [FlowBatch(1, columns)])

    def bin(self, position: str) -> None:
        return None

    def names(self, now: float) -> None:
        return None

    def close(self) -> None:
        pass


class Daemon:
    """A program that needs nothing."""

    def __init__(self) -> None:
        self.checks = 0

    def start(self) -> None:
        pass

    def check(self) -> None:
        self.checks += 1

    def stop(self) -> None:
        pass


class Engine:
    """The engine `other`; what it returns may be changed."""

    name = "other"

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {"feed": Feed(), "daemon": Daemon()}

    def feed(self) -> Any:
        return self.parts["feed"]

    def daemon(self) -> Any:
        return self.parts["daemon"]

    @hookimpl
    def register_engines(self) -> list[Any]:
        return [self]


def app_of(engine: Engine, folder: Path) -> App:
    manager = new_plugin_manager()
    add_plugin(manager, engine, "site")
    tree = {"data_directory": str(folder), "collector": {"engine": "other"}}
    return build_app(manager, SettingsFile(None, folder, tree))


def filler(app: App) -> FeedCollector:
    filler = filler_of(app.collector_parts(), app.open_feed)
    assert isinstance(filler, FeedCollector)
    return filler


def octets(folder: Path) -> int:
    return totals(FlowSearch(folder / "flowlog")).octets


def run_until(app: App, is_done: Callable[[], bool]) -> None:
    """Run the engine as the collector does, until something has happened."""
    collector = filler(app)
    collector.start()
    thread = threading.Thread(target=collector.run)
    thread.start()
    try:
        while not is_done():
            assert thread.is_alive()
            threading.Event().wait(0.02)
    finally:
        collector.stop()
        thread.join(20)
    assert not thread.is_alive()


def failures(app: App, part: str) -> int:
    return int(app.failures.report().get("site", {}).get(part, {}).get("count", 0))


@pytest.mark.parametrize("fail", RAISERS)
def test_daemon_when_its_check_and_stop_fail_endlessly_then_flows_come_and_it_is_counted(
    fail: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.collector.feeding._STEP_SECONDS", 0.01)
    engine = Engine()
    engine.parts["daemon"].check = engine.parts["daemon"].stop = fail
    app = app_of(engine, tmp_path)
    run_until(app, lambda: failures(app, "daemon") >= 3)
    assert octets(tmp_path) == 77


def test_daemon_when_it_says_that_the_program_ended_then_the_collector_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.collector.feeding._STEP_SECONDS", 0.01)
    engine = Engine()
    engine.parts["daemon"].check = raiser(ApplianceError("it ended with 3"))
    app = app_of(engine, tmp_path)
    collector = filler(app)
    collector.start()
    with pytest.raises(ApplianceError, match="it ended with 3"):
        collector.run()
    assert not app.failures.total


@pytest.mark.parametrize("fail", RAISERS)
def test_daemon_when_its_start_fails_then_no_start_and_the_plugin_is_named(
    fail: Callable[..., Any], tmp_path: Path
) -> None:
    engine = Engine()
    engine.parts["daemon"].start = fail
    with pytest.raises(PluginError, match="plugin site: daemon: "):
        filler(app_of(engine, tmp_path)).start()


@pytest.mark.parametrize("part", ["feed", "daemon"])
@pytest.mark.parametrize("fail", [*RAISERS, *map(returning, (None, 42, object(), []))])
def test_engine_when_it_brings_no_parts_then_no_start_and_the_plugin_is_named(
    fail: Callable[..., Any], part: str, tmp_path: Path
) -> None:
    engine = Engine()
    setattr(engine, part, fail)
    app = app_of(engine, tmp_path)
    for _ in range(3):
        with pytest.raises(PluginError, match=f"plugin site: {part}: "):
            filler(app)
    assert failures(app, part) == 3


def test_engine_when_chosen_then_flows_come_from_its_tables_and_its_program_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.collector.feeding._STEP_SECONDS", 0.01)
    engine = Engine()
    app = app_of(engine, tmp_path)
    run_until(app, lambda: engine.parts["daemon"].checks >= 3)
    assert octets(tmp_path) == 77
    assert not app.failures.total
