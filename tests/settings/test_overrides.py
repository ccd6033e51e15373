"""Settings that another file decides: which counts when, and a plugin that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.app import App, build_app
from appliance.contracts import Overrides
from appliance.errors import SettingsError, StorageError
from appliance.guard import PluginError
from appliance.hookspecs import hookimpl
from appliance.plugin_manager import add_plugin, new_plugin_manager
from appliance.settings.file import EffectiveSetting, SettingsFile
from tests.guard.failing import RAISERS, raiser, returning

FILE = Path("/srv/other.conf")


class Deciding:
    """A file that decides how many exporters there may be: one value now, another at next start."""

    def __init__(self, active: str, upcoming: str = "", file: Path = FILE) -> None:
        self.values, self.file = (active, upcoming or active), file
        self.is_activated = False

    def active(self) -> list[Overrides]:
        return self._overrides(self.values[self.is_activated])

    def upcoming(self) -> list[Overrides]:
        return self._overrides(self.values[1])

    def activate(self) -> None:
        self.is_activated = True

    def version(self) -> str:
        return str(self.is_activated)

    def lines(self) -> list[EffectiveSetting]:
        return [EffectiveSetting("most", self.values[1], f"{self.file}:1")]

    def hints(self) -> list[str]:
        return [f"{self.file} is old"]

    def _overrides(self, value: str) -> list[Overrides]:
        return [Overrides(self.file, {"collector.max_exporters": value, "nobody.has": "1"})]


class Site:
    """A plugin with one such file."""

    def __init__(self, file: Any) -> None:
        self.file = file

    @hookimpl
    def settings_overrides(self) -> list[Any]:
        return [self.file]


def app_of(*files: Any) -> App:
    manager = new_plugin_manager()
    for number, file in enumerate(files):
        add_plugin(manager, Site(file), f"site{number}")
    tree = {"collector": {"max_exporters": "7", "max_newcomers": "8"}}
    return build_app(manager, SettingsFile(None, Path("/srv/conf"), tree))


def most_exporters(app: App) -> list[int]:
    """Return the value at the start, now and at the collector's next start."""
    overridable = app.overridable
    every = (app.settings, overridable.active(), overridable.upcoming())
    return [settings["collector.max_exporters"] for settings in every]


def test_setting_when_another_file_decides_it_then_in_force_with_where_from() -> None:
    settings = app_of(Deciding("20")).settings
    assert (settings["collector.max_exporters"], settings["collector.max_newcomers"]) == (20, 8)
    origins = {setting.name: setting.origin for setting in settings.describe()}
    assert origins["collector.max_exporters"] == str(FILE)


def test_file_when_it_changed_then_counts_once_the_collector_starts_with_it() -> None:
    app = app_of(Deciding("20", "30"))
    version = app.overridable.version()
    assert most_exporters(app) == [20, 20, 30]
    app.overridable.activate()
    assert most_exporters(app) == [20, 30, 30]
    assert app.overridable.version() != version


def test_setting_when_two_files_decide_it_then_the_later_plugins_counts() -> None:
    app = app_of(Deciding("20"), Deciding("30", file=Path("/srv/b.conf")))
    assert most_exporters(app) == [30, 30, 30]
    assert [line.origin for line in app.overridable.lines()] == [f"{FILE}:1", "/srv/b.conf:1"]
    assert app.overridable.hints() == [f"{FILE} is old", "/srv/b.conf is old"]


def test_file_when_a_value_does_not_fit_then_said_and_the_own_settings_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_of(Deciding("many"))
    assert app.settings["collector.max_exporters"] == 7
    assert "/srv/other.conf: collector.max_exporters: expected a whole number" in caplog.text
    with pytest.raises(SettingsError, match=r"/srv/other\.conf: collector\.max_exporters"):
        app.overridable.upcoming()


BAD_VALUES = [42, [42], [Overrides("x", {})], [Overrides(FILE, {1: "x"})], [Overrides(FILE, 3)]]  # type: ignore[arg-type,dict-item]


@pytest.mark.parametrize("fail", [*RAISERS, *map(returning, BAD_VALUES)])
def test_file_when_its_plugin_fails_endlessly_then_others_count_and_it_is_counted(
    fail: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    bad = Deciding("20")
    for name in ("active", "version", "lines", "hints"):
        setattr(bad, name, fail)
    app = app_of(bad, Deciding("30"))
    for _ in range(5):
        assert app.overridable.active()["collector.max_exporters"] == 30
        assert app.overridable.version() == ("False",)
        assert len(app.overridable.lines()) == len(app.overridable.hints()) == 1
    assert app.settings["collector.max_exporters"] == 30
    assert app.failures.report() == {
        "site0": {"overrides": {"count": 21, "last_ms": pytest.approx(0, abs=2**63)}}
    }
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert [line.startswith("plugin site0: overrides failed: ") for line in lines] == [True]


def test_file_when_its_plugin_says_that_it_is_away_then_others_count_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Deciding("20")
    for name in ("version", "lines", "hints"):
        setattr(away, name, raiser(StorageError("the tape is away")))
    overridable = app_of(away, Deciding("30")).overridable
    assert overridable.version() == ("False",)
    assert len(overridable.lines()) == len(overridable.hints()) == 1
    assert "the tape is away" in caplog.text
    away.active = raiser(StorageError("the tape is away"))  # type: ignore[method-assign]
    assert app_of(away).settings["collector.max_exporters"] == 7


@pytest.mark.parametrize("method", ["upcoming", "activate"])
@pytest.mark.parametrize("fail", RAISERS)
def test_start_when_nobody_knows_the_settings_then_an_error_that_names_the_plugin(
    fail: Callable[..., Any], method: str
) -> None:
    bad = Deciding("20")
    setattr(bad, method, fail)
    with pytest.raises(PluginError, match="plugin site0: overrides: "):
        getattr(app_of(bad).overridable, method)()
