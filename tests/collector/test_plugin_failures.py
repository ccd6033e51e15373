"""A whole appliance with a plugin in which everything fails: collector, loader and web go on."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.running import RunningCollector
from tests.decoding.building import v5, v5_record

PLUGIN = '''
"""Fails wherever it can."""

import sys
from appliance.contracts import PUBLIC, Route
from appliance.flows import FlowBatch
from appliance.hookspecs import hookimpl


class Decoder:
    name = "bad"

    def __init__(self, version, decode):
        self.version, self.decode = version, decode


def fail(*_, **__):
    raise KeyError("broken")


def leave(*_, **__):
    sys.exit(7)


def answer(*_, **__):
    return 42


class Loader:
    def __init__(self, name, function):
        self.name, self._function = name, function

    def __getattr__(self, name):
        return self._function


class Metrics:
    def __init__(self, collect):
        self.collect = collect


@hookimpl
def register_decoders():
    functions = (fail, leave, answer, lambda *_: FlowBatch(1, {}))
    return [Decoder(250 + number, function) for number, function in enumerate(functions)]


@hookimpl
def register_enrichers():
    return [fail, leave, answer, lambda batch: FlowBatch(batch.n_records + 1, {})]


@hookimpl
def register_loaders():
    return [Loader("one", fail), Loader("two", leave), Loader("three", answer)]


@hookimpl
def register_metrics():
    return [Metrics(fail), Metrics(answer), Metrics(lambda: [42])]


@hookimpl
def register_routes():
    return [
        Route("GET", "/bad/fail", lambda: fail(), role=PUBLIC),
        Route("GET", "/bad/leave", lambda: leave(), role=PUBLIC),
        Route("GET", "/bad/object", lambda: object(), role=PUBLIC),
    ]


@hookimpl
def principal_from_request():
    return fail()


@hookimpl
def account_store_from_url():
    return 42


@hookimpl
def collector_started():
    fail()


@hookimpl
def exporter_appeared():
    leave()


@hookimpl
def collector_stopped():
    fail()
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a module an installed plugin, as pip would, for processes that are started."""

    def make(text: str) -> None:
        site = tmp_path / "site"
        information = site / "appliance_bad-1.0.dist-info"
        information.mkdir(parents=True)
        (site / "appliance_bad.py").write_text(textwrap.dedent(text))
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: appliance-bad\n")
        (information / "entry_points.txt").write_text("[appliance.plugins]\nbad = appliance_bad\n")
        monkeypatch.setenv("PYTHONPATH", f"{site}:{Path(__file__).parents[2]}")

    return make


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningCollector]:
    started = RunningCollector(tmp_path, command="run")
    yield started
    started.close()


def start(running: RunningCollector) -> None:
    """Start the appliance and wait until its API answers."""
    running.start()
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            fetched(running, "/")
            return
        assert time.monotonic() < deadline, running.output
        threading.Event().wait(0.05)


def fetched(running: RunningCollector, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.api_port}{path}") as reply:
            return int(reply.status), reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def failures_of(health: Any) -> dict[tuple[str, str], int]:
    rows = health["plugin_failures"]
    assert {row["plugin"] for row in rows} <= {"bad"}
    return {(row["process"], row["part"]): row["failures"] for row in rows}


def wait_for_failures(running: RunningCollector, *expected: tuple[str, str]) -> Any:
    """Ask for the health until these (process, part) have failed."""
    deadline = time.monotonic() + 30
    while True:
        health = json.loads(fetched(running, "/api/v1/health")[1])
        if set(expected) <= failures_of(health).keys():
            return health
        assert time.monotonic() < deadline, health["plugin_failures"]


def appliance(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a configuration of its own."""
    conf = folder / "conf"
    conf.mkdir()
    (conf / "appliance.yml").write_text("data_directory: ../data\n")
    command = [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def send(running: RunningCollector, n_datagrams: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(n_datagrams):
            version = 250 + number % 4
            for payload in (v5(v5_record(), sequence=number), version.to_bytes(2, "big") + b"x"):
                sender.sendto(payload, ("127.0.0.1", running.port))


def test_appliance_when_a_plugin_fails_everywhere_then_all_else_works(
    install: Callable[[str], None], running: RunningCollector
) -> None:
    install(PLUGIN)
    start(running)
    send(running, 40)
    running.wait_for("datagrams", 80)
    assert [fetched(running, f"/bad/{name}")[0] for name in ("fail", "leave", "object")] == [
        500
    ] * 3
    assert fetched(running, "/api/v1/analytics/summary")[0] in (401, 404)
    assert fetched(running, "/metrics")[0] == 200
    health = wait_for_failures(
        running,
        *(("collector", part) for part in ("decoder", "enricher", "event")),
        ("loader", "loader"),
        *(("web", part) for part in ("route", "metrics", "accounts")),
    )
    assert health["status"] == "degraded"
    assert "Plugin bad failed" in health["message"]
    # Each of the 40 datagrams once, the blocks that they were in besides.
    assert failures_of(health)["collector", "decoder"] >= 40
    text = fetched(running, "/metrics")[1].decode()
    line = 'appliance_plugin_failures_total{part="loader",plugin="bad",process="loader"}'
    assert line in text
    assert "appliance_collector_up 1.0" in text
    status = running.status()
    assert status["counts"]["records"] == 40
    assert status["counts"]["datagrams_lost_to_failures"] == 40
    assert running.stop() == 0
    assert running.rows() == 40
    for part in ("decoder", "enricher", "loader", "route", "metrics", "event"):
        lines = [line for line in running.output if f"plugin bad: {part} failed: " in line]
        # One of each process, and one more if the test took longer than a minute.
        assert 1 <= len(lines) <= 4, part


HOOK = """
from appliance.hookspecs import hookimpl

@hookimpl
def {hook}():
    return {value}
"""


@pytest.mark.parametrize(
    ("hook", "value", "problem"),
    [
        ("register_decoders", "42", "expected a list, found int"),
        ("register_decoders", "[42]", "int has no version"),
        ("register_datagram_taps", "[42]", "int has no method start"),
        ("register_counter_sinks", "[42]", "int has no method keep"),
        ("register_enrichers", "[None]", "expected a function, found NoneType"),
        ("register_redactors", "[None]", "expected a function, found NoneType"),
        ("register_settings", "[None]", "expected Setting, found NoneType"),
        ("settings_overrides", "{}", "expected a list, found dict"),
        ("settings_overrides", "[42]", "int has no method active"),
        ("settings_overrides", "1 / 0", "ZeroDivisionError: division by zero"),
        ("register_engines", "42", "expected a list, found int"),
        ("register_engines", "[42]", "int has no name"),
        ("register_engines", "1 / 0", "ZeroDivisionError: division by zero"),
        ("register_template_files", "42", "expected a list, found int"),
        ("register_template_files", "[42]", "int has no method read"),
        ("register_stores", "[1]", "expected a dictionary, found list"),
        ("register_stores", "{'x': 1}", "expected a function, found int"),
        ("register_query_sources", "{'x': 1}", "expected a function, found int"),
        ("register_enrichers", "exit(3)", "SystemExit: 3"),
        ("register_decoders", "1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_start_when_a_hook_returns_something_else_then_one_sentence_and_exit_2(
    install: Callable[[str], None], tmp_path: Path, hook: str, value: str, problem: str
) -> None:
    install(HOOK.format(hook=hook, value=value))
    ran = appliance(tmp_path, "collect")
    assert ran.stderr == f"appliance: plugin bad: {hook}: {problem}\n"
    assert ran.returncode == 2


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("hook", "value", "problem"),
    [
        ("register_routes", "['/x']", "expected Route, found str"),
        ("register_pages", "['/x']", "expected Page, found str"),
        ("register_metrics", "[object()]", "object has no collect"),
    ],
)
def test_web_when_a_hook_returns_something_else_then_one_sentence_and_exit_2(
    install: Callable[[str], None],
    tmp_path: Path,
    command: str,
    hook: str,
    value: str,
    problem: str,
) -> None:
    install(HOOK.format(hook=hook, value=value))
    ran = appliance(tmp_path, command)
    assert ran.stderr == f"appliance: plugin bad: {hook}: {problem}\n"
    assert ran.returncode == 2


def test_check_when_commands_are_something_else_then_one_sentence_and_exit_2(
    install: Callable[[str], None], tmp_path: Path
) -> None:
    install(HOOK.format(hook="register_commands", value="[print]"))
    ran = appliance(tmp_path, "check")
    problem = "expected Command, found builtin_function_or_method"
    assert ran.stderr == f"appliance: plugin bad: register_commands: {problem}\n"
    assert ran.returncode == 2


def test_loader_when_register_loaders_fails_then_the_log_is_sealed_all_the_same(
    install: Callable[[str], None], running: RunningCollector
) -> None:
    install(
        """
        from appliance.hookspecs import hookimpl

        @hookimpl
        def register_loaders():
            raise KeyError("none")
        """
    )
    start(running)
    send(running, 4)
    running.wait_for("datagrams", 8)
    health = wait_for_failures(running, ("loader", "loader"))
    assert health["success"]
    assert running.stop() == 0
    assert running.rows() == 4


@pytest.mark.parametrize("factory", ["Store(fail)", "Store(lambda *_: 42)", "sys.exit()", "42"])
def test_store_when_it_fails_then_the_log_is_sealed_and_the_api_says_so(
    install: Callable[[str], None], tmp_path: Path, factory: str
) -> None:
    install(
        f"""
        import sys
        from appliance.hookspecs import hookimpl

        def fail(*_, **__):
            raise KeyError

        class Store:
            def __init__(self, method):
                self.method = method

            def __getattr__(self, name):
                return self.method

        @hookimpl
        def register_stores():
            return {{"bad": lambda url, settings: {factory}}}
        """
    )
    running = RunningCollector(tmp_path, 'flows: {database: "bad:x"}\n', command="run")
    try:
        start(running)
        send(running, 4)
        running.wait_for("datagrams", 8)
        health = wait_for_failures(running, ("loader", "store"), ("web", "store"))
        assert "The flow database does not answer" in health["message"]
        assert running.stop() == 0
        assert running.rows() == 4
    finally:
        running.close()


def test_command_when_it_raises_then_one_sentence_that_names_the_plugin(
    install: Callable[[str], None], tmp_path: Path
) -> None:
    install(
        """
        import click
        from appliance.hookspecs import hookimpl

        @click.command("fold")
        def fold():
            return {}["x"]

        @hookimpl
        def register_commands():
            return [fold]
        """
    )
    ran = appliance(tmp_path, "fold")
    assert ran.returncode == 1
    assert ran.stderr.endswith("appliance: plugin bad: command fold: KeyError: 'x'\n")


def test_backup_when_a_part_raises_then_no_file_and_one_sentence(
    install: Callable[[str], None], tmp_path: Path
) -> None:
    install(
        """
        from appliance.hookspecs import hookimpl

        class Part:
            name = "part"

            def save(self, folder):
                return {}["x"]

            restore = save

        @hookimpl
        def register_backups():
            return [Part()]
        """
    )
    ran = appliance(tmp_path, "backup", f"{tmp_path}/made.tar.zst")
    assert ran.returncode == 1
    assert ran.stderr.endswith("appliance: plugin bad: backup: KeyError: 'x'\n")
    assert not (tmp_path / "made.tar.zst").exists()


def test_check_when_checks_of_a_plugin_fail_then_each_is_a_line_and_others_go_on(
    install: Callable[[str], None], tmp_path: Path
) -> None:
    install(
        """
        from appliance import OK, Finding, StorageError, hookimpl

        def raises():
            return {}["x"]

        def is_away():
            raise StorageError("tape is not in the drive")

        @hookimpl
        def register_checks():
            return [
                lambda: [Finding(OK, "tape", "4 m left")],
                raises,
                is_away,
                lambda: 42,
                lambda: [Finding("fine", "tape", "")],
                lambda: [Finding(OK, "tape", None)],
                lambda: [Finding(OK, "reel", "turns")],
            ]
        """
    )
    ran = appliance(tmp_path, "check", "--json")
    assert ran.returncode == 1
    lines = [list(each.values()) for each in json.loads(ran.stdout)["environment"]]
    # Other plugins' lines come first.
    assert lines[-7:] == [
        ["ok", "tape", "4 m left"],
        ["fail", "bad", "plugin bad: check: KeyError: 'x'"],
        ["fail", "bad", "tape is not in the drive"],
        ["fail", "bad", "plugin bad: check: TypeError: expected list, found int"],
        ["fail", "bad", "plugin bad: check: ValueError: expected ok, hint or fail, found 'fine'"],
        ["fail", "bad", "plugin bad: check: TypeError: expected str, found NoneType"],
        ["ok", "reel", "turns"],
    ]


def test_check_when_a_plugin_registers_no_functions_then_one_line(
    install: Callable[[str], None], tmp_path: Path
) -> None:
    install(
        """
        from appliance import hookimpl

        @hookimpl
        def register_checks():
            return [42]
        """
    )
    ran = appliance(tmp_path, "check", "--json")
    (line,) = [e for e in json.loads(ran.stdout)["environment"] if e["what"] == "bad"]
    text = "plugin bad: register_checks: expected a function, found int"
    assert line == {"status": "fail", "what": "bad", "text": text}
