"""Children that end are started again, and why they ended is said once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.errors import StartupError
from appliance.processes import children
from appliance.processes.children import Child
from appliance.processes.notification import VARIABLE, NotificationListener, notify_problem
from appliance.processes.supervision import LocalSupervisor, RestartPolicy
from appliance.processes.supervision.choice import collect_command, pid_file_path


@pytest.fixture
def made_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Child]:
    """Return what makes an API with some settings, which is started again at once."""
    monkeypatch.setattr(children, "_FIRST_PAUSE_SECONDS", 0.0)

    def make(settings: str) -> Child:
        (tmp_path / "appliance.yml").write_text(f"data_directory: var\n{settings}")
        return Child("API", ["-confPath", f"{tmp_path}/", "serve"])

    return make


def watch_until(child: Child, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_over():
        assert time.monotonic() < deadline
        child.watch()
        threading.Event().wait(0.02)


def test_child_when_it_cannot_start_for_long_then_its_sentence_comes_once(
    made_child: Callable[[str], Child],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    child, starts = made_child(""), []
    start = child.start
    monkeypatch.setattr(child, "start", lambda: (starts.append(1), start()))
    # Nobody can open it for writing, root neither.
    lock = tmp_path / "var" / "api.lock"
    lock.mkdir(parents=True)
    child.start()
    try:
        watch_until(child, lambda: len(starts) == 4)
    finally:
        child.stop()
    assert caplog.messages == [f"lock file {lock}: Is a directory: starting the API again"]
    assert capfd.readouterr().err == ""


def test_child_when_its_configuration_is_wrong_then_it_is_raised_in_its_words(
    made_child: Callable[[str], Child], capfd: pytest.CaptureFixture[str]
) -> None:
    child = made_child("web:\n  nonsense: 1\n")
    child.start()
    try:
        watch_until(child, lambda: child.has_failed)
    finally:
        child.stop()
    with pytest.raises(StartupError, match="nonsense"):
        child.raise_failure()
    assert capfd.readouterr().err == ""


def test_problem_when_a_script_of_a_child_has_one_then_the_starter_is_not_told() -> None:
    listener = NotificationListener()
    try:
        # The address names this process, and a script is no child of it.
        assert not notify_problem("not mine", environment={VARIABLE: listener.address})
        listener.hear(0)
        assert listener.status == ""
    finally:
        listener.close()


def test_collector_when_it_cannot_be_started_again_then_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "appliance.yml").write_text(
        'data_directory: var\ncollector:\n  listen: ["127.0.0.1:0"]\n'
    )
    (tmp_path / "var" / "flowlog").mkdir(parents=True)
    (tmp_path / "var" / "flowlog" / "writer.lock").mkdir()
    settings = open_app(tmp_path).settings
    supervisor = LocalSupervisor(pid_file_path(settings), collect_command(settings, {}))
    policy = RestartPolicy(supervisor)
    supervisor.pid_file.mark_crash()
    for second in (0.0, 100.0, 200.0):
        policy.look(second)
    assert len(caplog.messages) == 2
    assert "ended unexpectedly" in caplog.messages[0]
    assert "writer.lock" in caplog.messages[1]
