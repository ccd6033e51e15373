"""Who holds a pid file, and what is left of who held it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.processes.supervision import AlreadyRunning, PidFile
from tests.processes.supervision.holding import holder


def test_status_when_there_is_no_file_then_nothing_runs(tmp_path: Path) -> None:
    status = PidFile(tmp_path / "pid").status()
    assert not status.is_running
    assert not status.crashed


def test_status_when_it_is_held_then_names_the_process(tmp_path: Path) -> None:
    with holder(tmp_path / "pid") as process:
        assert PidFile(tmp_path / "pid").status().pid == process.pid
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"


def test_status_when_the_holder_was_killed_then_it_crashed(tmp_path: Path) -> None:
    with holder(tmp_path / "pid") as process:
        process.kill()
        process.wait()
        status = PidFile(tmp_path / "pid").status()
    assert not status.is_running
    assert status.crashed


def test_status_when_the_holder_ended_then_the_file_is_gone(tmp_path: Path) -> None:
    with holder(tmp_path / "pid") as process:
        process.communicate("", timeout=30)
        assert not (tmp_path / "pid").exists()


def test_status_when_the_number_is_a_strangers_then_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    assert not PidFile(tmp_path / "pid").status().is_running


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\x00\xff" * 1000])
def test_hold_when_a_stale_file_is_there_then_takes_it_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pid"
    path.write_bytes(content)
    with holder(path) as process:
        assert path.read_text() == f"{process.pid}\n"


def test_hold_when_another_holds_it_then_says_who(tmp_path: Path) -> None:
    with holder(tmp_path / "pid") as process, pytest.raises(AlreadyRunning) as raised:
        PidFile(tmp_path / "pid").hold()
    assert raised.value.pid == process.pid
    assert str(process.pid) in str(raised.value)


def test_status_when_asked_again_and_again_then_the_holder_keeps_its_lock(tmp_path: Path) -> None:
    with holder(tmp_path / "pid") as process:
        found = {PidFile(tmp_path / "pid").status().pid for _ in range(100)}
    assert found == {process.pid}
