"""Loaders, stores and other objects of plugins that fail in every way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.collector.parts import CollectorParts
from appliance.collector.service import Collector
from appliance.collector.status import read_status
from appliance.contracts import LoadReport, SavedApplication, SavedSampling, SavedTemplate
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.sampling.knowledge import Subject
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.flowlog import Cursor
from appliance.guard import (
    PluginError,
    PluginFailures,
    guard_object,
)
from appliance.guard.methods import (
    ACCOUNTS,
    BACKUP,
    COUNTER_SINK,
    DAEMON,
    DATAGRAM_TAP,
    FEED,
    LOADER,
    METRICS,
    OVERRIDES,
    POLLER,
    STORE,
)
from appliance.guard.template_files import TEMPLATE_FILE
from appliance.processes.loader import StoreFiller
from appliance.settings.file import SettingsFile
from appliance.settings.types import ListenAddress
from tests.guard.failing import RAISERS, guard_of, returning


class Loader:
    """A loader that works, but for one method."""

    name = "a loader"

    def load_once(self, now: float) -> LoadReport:
        return LoadReport(rows=1)

    def finish(self, now: float) -> list[str]:
        return []

    def cursor(self) -> tuple[int, int] | None:
        return 4, 5

    def expire(self, now: float) -> int:
        return 0


TEMPLATE = Template(300, (FieldSpecifier(8, 4),))
A_TEMPLATE = ("192.0.2.1", 1, 9, TEMPLATE)
A_RATE = ("192.0.2.1", 1, 9, "domain", 0, 10.0)
BAD_CURSORS = [(1,), ("a", "b"), (-1, 0), 7, [1, 2]]
BAD_REPORTS = [None, 42, LoadReport(rows="x"), LoadReport(warnings=[5])]  # type: ignore[arg-type,list-item]


@pytest.mark.parametrize(
    ("method", "function"),
    [
        *((m, r) for m in ("load_once", "cursor", "expire") for r in RAISERS),
        *(("load_once", returning(value)) for value in BAD_REPORTS),
        *(("cursor", returning(value)) for value in BAD_CURSORS),
        ("expire", returning(None)),
    ],
)
def test_loader_when_a_method_fails_then_it_is_tried_again_after_a_pause(
    method: str, function: Callable[..., Any]
) -> None:
    loader, failures = Loader(), PluginFailures()
    setattr(loader, method, function)
    filler = StoreFiller(guard_object(guard_of("loader", failures), loader, LOADER))
    assert not filler.fill(1.0, 0.0)
    assert filler.cursor() == Cursor(0, 0)
    assert not filler.fill(1.0, 0.5)
    assert failures.report()["site"]["loader"]["count"] == 1
    delattr(loader, method)
    filler.fill(1.0, 1000.0)
    assert filler.cursor() == Cursor(4, 5)


CONTRACTS = {
    "store": STORE,
    "loader": LOADER,
    "poller": POLLER,
    "feed": FEED,
    "accounts": ACCOUNTS,
    "backup": BACKUP,
    "metrics": METRICS,
    "overrides": OVERRIDES,
    "counters": COUNTER_SINK,
    "daemon": DAEMON,
    "templates": TEMPLATE_FILE,
}
METHODS = [(part, name) for part, contract in CONTRACTS.items() for name in (contract.methods)]


class Anything:
    """Has every method and attribute, and does one thing in each."""

    name = source = "anything"
    interval_seconds = 60.0

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return self._function


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_raises_then_a_plugin_error_that_names_it(
    part: str, method: str
) -> None:
    failures = PluginFailures()
    passes = CONTRACTS[part].passes.get(method)
    for function in RAISERS:
        value = guard_object(guard_of(part, failures), Anything(function), CONTRACTS[part])
        with pytest.raises((PluginError, *([passes] if passes else []))):
            getattr(value, method)()
    expected = len(RAISERS) - (passes is KeyError)
    assert failures.report()["site"][part]["count"] == expected


@pytest.mark.parametrize(("part", "method"), METHODS)
def test_object_when_a_method_returns_something_else_then_a_plugin_error(
    part: str, method: str
) -> None:
    value = guard_object(
        guard_of(part, PluginFailures()), Anything(returning(object())), CONTRACTS[part]
    )
    check = CONTRACTS[part].methods[method]
    if check.__name__ == "nothing":
        assert getattr(value, method)() is None
        return
    with pytest.raises(PluginError, match=f"plugin site: {part}: "):
        getattr(value, method)()


@pytest.mark.parametrize("part", CONTRACTS)
def test_object_when_it_lacks_a_method_then_a_plugin_error_that_says_which(part: str) -> None:
    first = next(iter(CONTRACTS[part].methods))
    value: Any = guard_object(guard_of(part, PluginFailures()), object(), CONTRACTS[part])
    with pytest.raises(PluginError, match=f"object has no method {first}"):
        getattr(value, first)()


def test_feed_when_its_iterator_fails_in_the_middle_then_what_came_before_stays() -> None:
    def bins(*_: object) -> Iterator[Any]:
        yield 42

    failures = PluginFailures()
    for function in (bins, returning(42), returning(None), *RAISERS):
        value: Any = guard_object(guard_of("feed", failures), Anything(function), FEED)
        with pytest.raises(PluginError):
            list(value.bins("", 0.0))
    assert failures.total == 3 + len(RAISERS)


BAD_TEMPLATES = [
    None,
    [],
    ([], "0"),
    ([42], 0),
    ([SavedTemplate("here", 1, 9, TEMPLATE)], 0),
    ([SavedTemplate("192.0.2.1", "1", 9, TEMPLATE)], 0),  # type: ignore[arg-type]
    ([SavedTemplate("192.0.2.1", 1, 9, None)], 0),  # type: ignore[arg-type]
]


class Templates:
    """A file of one template, which does one thing when it is read or written."""

    name = "file"

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        self._function = function
        self.written: list[SavedTemplate] = []

    def read(self) -> Any:
        return self._function() if self._function else ([SavedTemplate(*A_TEMPLATE)], 0)

    def write(self, saved: list[SavedTemplate]) -> Any:
        self.written = saved
        return self._function() if self._function else None

    def write_sampling(self, saved: list[SavedSampling]) -> Any:
        return self._function() if self._function else None

    def write_applications(self, saved: list[SavedApplication]) -> Any:
        return self._function() if self._function else None

    def read_others(self) -> Any:
        return self._function()[0] if self._function else [SavedTemplate(*A_TEMPLATE)]

    def read_sampling_of_others(self) -> Any:
        return self._function() if self._function else [SavedSampling(*A_RATE)]


@pytest.mark.parametrize("function", [*RAISERS, *map(returning, BAD_TEMPLATES)])
def test_template_file_when_it_fails_endlessly_then_the_next_is_read_and_written(
    function: Callable[..., Any], tmp_path: Path
) -> None:
    failures, good = PluginFailures(), Templates()
    files = [
        guard_object(guard_of("templates", failures), each, TEMPLATE_FILE)
        for each in (Templates(function), good)
    ]
    tree = {"data_directory": str(tmp_path), "collector": {"listen": "127.0.0.1:0"}}
    settings = SettingsFile(None, tmp_path, tree).settings()
    parts = CollectorParts(settings, (), (), failures, lambda *_, **__: None, {}, files)
    collector = Collector(parts)
    collector.start()
    collector.states.news += 1
    for _ in range(3):
        collector._save_states()
    collector.stop()
    collector.run()
    assert failures.report()["site"]["templates"]["count"] >= 1
    assert [saved[:3] for saved in good.written] == [A_TEMPLATE[:3]]
    assert set(collector.states.templates_of_others.values()) == {TEMPLATE}
    assert [told.told for told in collector.states.sampling_of_others.values()] == [
        {Subject("domain", 1, 0): 10.0}
    ]


class Tap:
    """Gets datagrams, and does one thing with each block; the word says when."""

    name = "tap"

    def __init__(self, function: Callable[..., Any] | None = None, when: str = "") -> None:
        self._function, self._when = function, when
        self.datagrams = 0

    def _act(self, word: str, value: Any) -> Any:
        return self._function() if self._function and word == self._when else value

    def start(self, listen: Sequence[ListenAddress]) -> Any:
        return self._act("start", [])

    def take(self, block: DatagramBlock) -> Any:
        self.datagrams += len(block)
        return self._act("take", None)

    def figures(self) -> Any:
        return self._act("figures", {"all": {"datagrams": self.datagrams}})

    def stop(self) -> Any:
        return self._act("stop", None)


@pytest.mark.parametrize("when", ["start", "take", "figures", "stop"])
@pytest.mark.parametrize("function", RAISERS)
def test_tap_when_it_fails_endlessly_then_the_next_gets_every_datagram(
    function: Callable[..., Any], when: str, tmp_path: Path
) -> None:
    failures, good = PluginFailures(), Tap()
    good.name = "good"
    taps = [
        guard_object(guard_of("tap", failures), each, DATAGRAM_TAP)
        for each in (Tap(function, when), good)
    ]
    tree = {"data_directory": str(tmp_path), "collector": {"listen": "127.0.0.1:0"}}
    settings = SettingsFile(None, tmp_path, tree).settings()
    collector = Collector(
        CollectorParts(settings, (), (), failures, lambda *_, **__: None, taps=taps)
    )
    collector.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
        for _ in range(3):
            exporter.sendto(b"\0\x63", collector.receiver.addresses[0])
    collector.stop()
    collector.run()
    assert good.datagrams == 3
    assert failures.report()["site"]["tap"]["count"] >= 1
    shown = (read_status(collector.paths.status) or {})["taps"]
    assert shown["good"] == {"all": {"datagrams": 3}}
