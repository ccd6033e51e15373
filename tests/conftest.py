"""Fixtures that every folder of tests uses; each folder adds its own beside its tests."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.quiet import TestLocks
from tests.sql.mariadb import MariaDb, running_mariadb

DEFAULT_PORTS = (2055, 4739, 8443, 9999)
"""What an appliance listens on where nothing is configured."""

LOCK_FOLDER = "APPLIANCE_TEST_LOCKS"
"""The environment variable that tells workers the folder of their locks."""

FOLDERS_WITH_SERVERS = ("tests/box", "tests/image", "tests/plugins/clickhouse")
"""Folders whose tests share what takes minutes to start, or fill the machine: for one worker."""

# Times are not measured in tests: on a busy machine one example of many takes longer than 200 ms.
settings.register_profile("appliance", deadline=None)
settings.load_profile("appliance")


def pytest_configure(config: pytest.Config) -> None:
    """Take the default ports for the whole run, so that no test works only while they are free.

    Those that another program has are taken already. The process that starts the workers holds
    them, as it lives the longest, and makes the folder of their locks.
    """
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(TestLocks(Path(os.environ[LOCK_FOLDER])))
        return
    locks = tempfile.TemporaryDirectory(prefix="appliance-tests-")
    config.add_cleanup(locks.cleanup)
    os.environ[LOCK_FOLDER] = locks.name
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for port in DEFAULT_PORTS:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with contextlib.suppress(OSError):
                    config.add_cleanup(_listening_socket(family, kind, host, port).close)


def _listening_socket(family: int, kind: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        if kind == socket.SOCK_STREAM:
            listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give each worker a file of tests at a time, so that both have work until the end."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folders = (name for name in FOLDERS_WITH_SERVERS if file.startswith(f"{name}/"))
            return next(folders, file)

    return ByFile(config, log)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Return what keeps a figure for the summary: its name, and its value with the unit."""
    return record_property


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that tests kept: what `make soak` is for."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    with_figures = [
        report for report in reports if report.when == "call" and report.user_properties
    ]
    if with_figures:
        terminalreporter.section("figures")
    for report in with_figures:
        figures = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        terminalreporter.write_line(f"{report.nodeid.partition('::')[2]}: {figures}")


@pytest.fixture(autouse=True)
def no_configuration_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration of whoever runs the tests out of them."""
    monkeypatch.delenv("APPLIANCE_CONF", raising=False)


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], Path]:
    """Write an `appliance.yml` and return its folder."""

    def write(text: str) -> Path:
        folder = tmp_path / "conf"
        folder.mkdir(exist_ok=True)
        (folder / "appliance.yml").write_text(text)
        return folder

    return write


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB of the tests' own."""
    with running_mariadb() as server:
        yield server
