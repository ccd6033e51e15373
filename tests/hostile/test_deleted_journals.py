"""Files of the flow log that somebody deletes or replaces while they are open, and what is said of
faults that last."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import ratelimit
from appliance.flowlog import FlowLogLimits, FlowLogReader, FlowLogWriter, journal
from appliance.flowlog import writer as writer_module
from appliance.flows import FlowBatch
from tests.flowlog.conftest import Log, log, make_batch

__all__ = ["log", "make_batch"]
"""Fixtures."""


def put(writer: FlowLogWriter, log: Log, batch) -> int:
    log.now_ms += 1000
    writer.append(batch)
    return writer.flush({"seen": log.now_ms}, log.now_ms)


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    beside = path.with_name("beside")
    shutil.copy(path, beside)
    beside.replace(path)


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def delete_log(path: Path) -> None:
    shutil.rmtree(path.parent.parent)


DAMAGES: list[Callable[[Path], None]] = [delete, replace, truncate, delete_folder, delete_log]


@pytest.mark.parametrize("damage", DAMAGES)
def test_open_journal_when_deleted_or_replaced_then_the_next_flush_begins_another(
    damage, log, make_batch, caplog
):
    writer = log.writer()
    assert put(writer, log, make_batch(5, 1)) == 0
    damage(log.directory / "flows" / "0000000001.open")
    for seed in (2, 3):
        assert put(writer, log, make_batch(7, seed)) == 0
    assert (log.directory / "flows" / "0000000002.open").exists()
    assert writer.rows_dropped == 5
    assert writer.figures()["files_missing"] >= 1
    assert sum("the open journal was" in line for line in caplog.messages) == 1
    writer.close(log.now_ms)
    assert sum(batch.n_records for batch in log.read()) == 14
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == {"seen": log.now_ms}
    again.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_open_journal_when_deleted_before_its_segment_ends_then_the_next_is_written(
    damage, log, make_batch
):
    writer = log.writer()
    put(writer, log, make_batch(5, 1))
    damage(log.directory / "flows" / "0000000001.open")
    writer.roll_if_due(log.now_ms + 10**6)
    assert put(writer, log, make_batch(7, 2)) == 0
    writer.close(log.now_ms)
    log.maintain()
    assert sum(batch.n_records for batch in log.read()) == 7


def test_options_when_only_their_journal_is_deleted_then_the_flows_stay(log, make_batch):
    writer = log.writer()
    flows = make_batch(4, 1)
    put(writer, log, FlowBatch(4, flows.columns, options=True))
    put(writer, log, make_batch(5, 2))
    (log.directory / "options" / "0000000001.open").unlink()
    put(writer, log, make_batch(6, 3))
    writer.close(log.now_ms)
    assert writer.rows_dropped == 4
    assert sum(batch.n_records for batch in log.read()) == 11


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def no_damage(path: Path) -> None: ...


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        *((None, damage) for damage in (replace, delete_log)),
        ((journal, "write_rows"), no_damage),
        ((os, "replace"), no_damage),
        ((writer_module, "atomic_write"), no_damage),
        ((os, "open"), no_damage),
        ((os, "statvfs"), no_damage),
    ],
)
def test_fault_when_it_lasts_for_an_hour_then_a_line_a_minute_at_most(
    fault, damage, log, make_batch, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    clock = Clock()
    monkeypatch.setattr(ratelimit, "time", clock)
    log.limits = FlowLogLimits(minimum_free_octets=0, segment_seconds=10)
    writer = log.writer()
    with monkeypatch.context() as patched:
        if fault is not None:
            patched.setattr(*fault, fail)
        for second in range(0, 3600, 6):
            clock.now = float(second)
            put(writer, log, make_batch(1, 1))
            for path in (log.directory / "flows").glob("*.open"):
                damage(path)
                break
            for part in range(5):
                writer.roll_if_due(log.now_ms + part * 200)
    kinds = {record.msg.split(" (and")[0] for record in caplog.records}
    assert 1 <= len(kinds) <= 3
    assert len(caplog.records) <= 61 * len(kinds)
    clock.now += 60
    log.now_ms += 2000
    assert put(writer, log, make_batch(3, 1)) == 0
    writer.close(log.now_ms)
    assert sum(rows.n_rows for rows in FlowLogReader(log.directory).snapshot().rows) >= 3
