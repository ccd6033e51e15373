"""Subcommands as copies of `appliance run`, and what each process imports."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.processes import children
from appliance.processes.children import Child
from tests.collector.running import RunningCollector

COPY = """
import os, subprocess, sys, threading
from appliance.processes.starting import start_copy
{before}
process = start_copy({arguments!r}, os.environ)
{after}
print("ended with", process.wait(60), type(process).__name__)
"""
HEAVY = """
print(*sorted({"duckdb", "lark", "pymysql", "cryptography", "asyncio", "markdown_it", "pyarrow",
"numpy.random", "smtplib"} & set(sys.modules)))
"""
PREPARED = """
import gc, os, sys, threading
from pathlib import Path
from appliance.processes.starting import prepare_copy
{before}
copy = prepare_copy(["--version"])
{after}
"""
WITH_THREAD = """
threading.Thread(target=threading.Event().wait, daemon=True).start()
copy.begin(os.environ)
print("ended with", copy.wait(60))
"""
WITH_GARBAGE = """
def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) // 1024
before = private()
assert before < 20, before
gc.collect()
print(private() - before)
copy.begin(os.environ)
copy.wait(60)
"""
TALKATIVE = """
import signal, threading
from appliance.processes.notification import ALIVE, notify
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
while not stopping.wait(0.01):
    notify(ALIVE)
"""
COLLECTOR = """
import sys
from appliance.app import open_app
from appliance.processes.engines import filler_of
app = open_app()
filler_of(app.collector_parts(), app.open_feed)
"""
LOADER = """
import sys, threading
from appliance.app import open_app
from appliance.cli.loader import _store
from appliance.process_parts import gather_loaders
from appliance.processes.loader import Loader
app = open_app()
loader = Loader(app.settings, _store(app), gather_loaders(app), app.failures)
loader.stop()
loader.run()
assert loader.fillers[0].cursor() is not None
"""
API = """
import sys
from appliance.app import open_app
from appliance.web.service import build_web_service
service = build_web_service(open_app().web_parts())
service.accounts.store().users()
"""


def copy(
    arguments: list[str], before: str = "", after: str = ""
) -> subprocess.CompletedProcess[str]:
    program = COPY.format(arguments=arguments, before=before, after=after)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_copy_when_it_ends_then_as_a_new_interpreter_would() -> None:
    done = copy(["--version"])
    version, ended = done.stdout.splitlines()
    assert version.startswith("netflow-appliance, version")
    assert ended == "ended with 0 Copy"


def test_copy_when_the_command_is_wrong_then_its_sentence_and_exit_code() -> None:
    done = copy(["no-such-command"])
    assert done.stdout == "ended with 2 Copy\n"
    assert "no such command: no-such-command" in done.stderr


def test_copy_when_nobody_catches_an_error_then_traceback_and_one() -> None:
    before = "import appliance.cli.options as options; options.run_command_line = None"
    done = copy(["--version"], before)
    assert done.stdout == "ended with 1 Copy\n"
    assert "TypeError" in done.stderr


def test_copy_when_there_are_other_threads_then_a_new_interpreter() -> None:
    before = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert copy(["--version"], before).stdout.endswith("ended with 0 Popen\n")


def prepared(after: str, before: str = "") -> list[str]:
    program = PREPARED.format(before=before, after=after)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def test_copy_when_prepared_before_threads_then_it_begins_with_them() -> None:
    version, ended = prepared(WITH_THREAD)
    assert version.startswith("netflow-appliance, version")
    assert ended == "ended with 0"


def test_copy_when_arrow_is_loaded_then_it_is_a_copy_all_the_same() -> None:
    before = "os.environ['OPENBLAS_NUM_THREADS'] = '1'; import pyarrow"
    assert prepared(WITH_THREAD, before)[-1] == "ended with 0"


def test_copy_when_its_starter_ends_first_then_it_ends_without_a_word() -> None:
    # The pipe of the output ends with the last who has it.
    assert prepared("print(os.getpid() != copy.pid)") == ["True"]


def test_copy_when_garbage_is_searched_for_then_its_memory_is_still_shared() -> None:
    before = "many = [[] for _ in range(1_000_000)]"
    megabytes, _version = prepared(WITH_GARBAGE, before)
    assert int(megabytes) < 5


def test_copy_when_a_plugin_of_others_is_installed_then_a_new_interpreter() -> None:
    before = "import appliance.processes.starting as s; s.installed_plugins = lambda: ('one',)"
    assert copy(["--version"], before).stdout.endswith("ended with 0 Popen\n")


def test_copy_when_ends_of_children_are_ignored_then_waiting_for_it_ends() -> None:
    before = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    assert copy(["no-such-command"], before).stdout == "ended with 0 Copy\n"


def test_copy_when_output_is_closed_then_it_starts_all_the_same() -> None:
    done = copy(["--version"], "out, sys.stdout = sys.stdout, None", "sys.stdout = out")
    assert done.stdout == "ended with 0 Copy\n"


def test_copy_when_killed_then_the_signal_is_told(tmp_path: Path) -> None:
    (tmp_path / "appliance.yml").write_text("data_directory: var\n")
    after = (
        "try: process.wait(0.2)\nexcept subprocess.TimeoutExpired: print('runs')\nprocess.kill()"
    )
    done = copy(["-confPath", f"{tmp_path}/", "loader"], after=after)
    assert done.stdout == "runs\nended with -9 Copy\n"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunningCollector]:
    running = RunningCollector(tmp_path, command="run")
    try:
        yield running.start()
    finally:
        running.close()


def children_of(run: RunningCollector) -> list[list[str]]:
    assert run.process is not None
    return sorted(child.cmdline() for child in psutil.Process(run.process.pid).children())


def test_run_when_started_then_lists_of_processes_name_its_children(run: RunningCollector) -> None:
    assert run.process is not None
    names = {child.name() for child in psutil.Process(run.process.pid).children()}
    assert names == {"appliance"}
    collect, serve = children_of(run)
    assert collect[:4] == ["appliance", "-confPath", f"{run.conf}/", "collect"]
    assert serve[:4] == ["appliance", "-confPath", f"{run.conf}/", "serve"]


def test_run_when_started_then_its_loader_is_a_copy_of_the_collector(run: RunningCollector) -> None:
    (loader,) = psutil.Process(run.status()["pid"]).children()
    assert loader.cmdline()[:4] == ["appliance", "-confPath", f"{run.conf}/", "loader"]


def test_run_when_the_collector_ended_then_it_is_a_new_interpreter(run: RunningCollector) -> None:
    run.kill_collector()
    assert [sys.executable, "-m", "appliance", "-confPath", f"{run.conf}/", "collect"] in (
        children_of(run)
    )


def test_run_when_started_then_its_children_hold_none_of_its_files(run: RunningCollector) -> None:
    with (run.data / "collector.starting").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert run.process is not None
    for child in psutil.Process(run.process.pid).children():
        assert os.readlink(f"/proc/{child.pid}/fd/0") == os.devnull
        assert not [one.path for one in child.open_files() if one.path.endswith(".starting")]


def test_child_when_nobody_heard_what_it_told_then_it_stops_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = Child("API", [])
    monkeypatch.setattr(children, "command_line", lambda _: [sys.executable, "-c", TALKATIVE])
    child.start()
    time.sleep(2.0)
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 10


def test_run_when_killed_and_started_again_then_the_former_collector_is_awaited(
    run: RunningCollector,
) -> None:
    former = run.status()["pid"]
    os.kill(former, signal.SIGSTOP)  # It takes its time.
    run.kill()
    threading.Timer(3.0, os.kill, (former, signal.SIGCONT)).start()
    run.start()
    deadline = time.monotonic() + 20
    while (now := run.status()["pid"]) == former:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert psutil.pid_exists(now)


@pytest.mark.parametrize(
    ("program", "expected"),
    [(COLLECTOR, "pyarrow"), (LOADER, "pyarrow smtplib"), (API, "smtplib")],
    ids=["collector", "loader", "API"],
)
def test_process_when_it_begins_then_only_what_it_needs_is_imported(
    program: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "appliance.yml").write_text("data_directory: var\n")
    environment = {**os.environ, "APPLIANCE_CONF": f"{tmp_path}/"}
    command = [sys.executable, "-c", program + HEAVY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected.split()
