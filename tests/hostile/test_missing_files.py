"""Files that vanish, and a disk that fills up, while the API runs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.plugins.metrics.health import unwritable_folder
from tests.processes.supervision.holding import holder
from tests.web.appliance import Appliance, basic, made_appliance

SENTENCE = (
    "The database of accounts was deleted or replaced while in use: restore it, or restart the"
    " appliance to make a new administrator"
)


def delete_database(appliance) -> bytes:
    """Delete appliance.sqlite and what lies beside it; return what it was."""
    folder: Path = appliance.app.settings["data_directory"]
    file = folder / "appliance.sqlite"
    appliance.accounts.store().close()
    with sqlite3.connect(file) as whole:
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole.close()
    octets = file.read_bytes()
    for path in folder.glob("appliance.sqlite*"):
        path.unlink()
    return octets


def test_accounts_when_their_file_is_deleted_then_a_503_that_says_so_and_one_line(
    appliance, caplog
):
    before = delete_database(appliance)
    for reply in (
        appliance("GET", "/user"),
        appliance("POST", "/user", "username=x"),
        appliance.sign_in("root"),
        appliance.client.get("/v1/api/device/get/all", appliance.token),
        appliance.client("POST", "/auth", **basic("nobody", "x")),
    ):
        assert (reply.status, reply.json["message"]) == (503, SENTENCE)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "deleted or replaced while in use" in lines[0]
    health = local(appliance, "/api/v1/health")
    assert health.status == 503
    assert SENTENCE in health.json["message"]

    folder: Path = appliance.app.settings["data_directory"]
    for path in folder.glob("appliance.sqlite*"):
        path.unlink()
    (folder / "appliance.sqlite").write_bytes(before)
    assert appliance("GET", "/user").status == 200
    assert appliance.sign_in("root").status == 200


def test_accounts_when_another_program_made_their_file_anew_then_noticed_too(appliance, tmp_path):
    delete_database(appliance)
    appliance.stores.store().exporters()
    assert (tmp_path / "var" / "appliance.sqlite").exists()
    assert appliance.sign_in("root").json["message"] == SENTENCE


def test_accounts_when_deleted_and_started_again_then_a_new_first_administrator(tmp_path):
    first = made_appliance(tmp_path)
    delete_database(first)
    first.close()
    again = made_appliance(tmp_path)
    assert again.sign_in("root").status == 200
    again.close()


@contextmanager
def collector_without_figures(appliance) -> Iterator[int]:
    """Hold the pid file as a collector does that cannot write its figures any more."""
    folder: Path = appliance.app.settings["data_directory"]
    with holder(folder / "collector.pid") as process:
        (folder / "collector.json").write_text(json.dumps({"time_ms": 1, "datagrams": 5}))
        yield process.pid


def local(appliance, path: str):
    return appliance.client.get(path, REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost", token="")


@pytest.fixture
def without_room(tmp_path) -> Iterator[Appliance]:
    """An appliance whose disk has less room than the collector leaves."""
    made = made_appliance(tmp_path, **{"flow_log.minimum_free_octets": "1000TB"})
    yield made
    made.close()


def test_health_when_the_disk_is_full_then_says_so_and_not_that_nothing_runs(without_room):
    with collector_without_figures(without_room) as pid:
        reply = local(without_room, "/api/v1/health")
        metrics = local(without_room, "/metrics").body
    assert (reply.status, reply.json["status"]) == (200, "degraded")
    assert reply.json["message"] == "The disk is full, new records are dropped"
    assert reply.json["collector"] == {"running": True, "pid": pid}
    assert b"appliance_collector_up 1.0" in metrics


def test_health_when_no_collector_runs_then_a_full_disk_is_said_beside_it(without_room):
    assert local(without_room, "/api/v1/health").json["message"] == (
        "The collector is not running; The disk is full, new records are dropped"
    )


def test_health_when_the_collector_is_silent_without_need_then_failing(appliance):
    with collector_without_figures(appliance):
        reply = local(appliance, "/api/v1/health")
        metrics = local(appliance, "/metrics").body
    assert reply.status == 503
    assert reply.json["message"] == (
        "The collector runs, but it has written no figures for a while"
    )
    assert b"appliance_collector_up 0.0" in metrics


@pytest.fixture
def read_only_folder(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root, to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_health_when_the_file_system_is_read_only_then_says_that_nothing_is_kept(
    read_only_folder, tmp_path
):
    assert unwritable_folder(read_only_folder) == [
        f"The data directory {read_only_folder} cannot be written: what is received is not kept"
    ]
    assert unwritable_folder(tmp_path) == []
