"""Maintainer: sealing, merging and retention keep every row that counts, once and in order."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    Maintainer,
    journal,
    maintainer,
    seal,
)
from appliance.flowlog.names import list_files
from appliance.flowlog.parquet import ParquetFile

HOUR_MS = 3_600_000


def total(log: Any) -> int:
    return sum(batch.n_records for batch in log.read())


def test_sealing_when_journals_are_closed_then_one_file_with_times_in_its_name(
    log: Any, make_batch: Any
) -> None:
    log.write(*[[make_batch(10, n, log.now_ms + n * 1000)] for n in range(3)])
    start = log.now_ms - 3 * 61_000
    report = log.maintain()
    assert report.sealed == 1
    assert log.files() == [f"0000000001-0000000003.{start}-{start + 2000}.parquet"]
    assert ParquetFile(log.only_file()).segments == [(1, 10), (2, 10), (3, 10)]


def test_sealing_when_patient_then_waits_for_more(log: Any, make_batch: Any) -> None:
    log.write([make_batch(10)])
    path = log.only_file()
    task = Maintainer(log.directory, log.limits)
    written_ms = int(path.stat().st_mtime * 1000)
    assert task.run_once(written_ms + 9_000, patient=True).sealed == 0
    assert path.exists()
    assert task.run_once(written_ms + 11_000, patient=True).sealed == 1


def test_sealing_when_patient_and_rows_are_many_then_does_not_wait(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintainer, "SEAL_ROWS", 25)
    log.write(*[[make_batch(10, n)] for n in range(5)])
    report = Maintainer(log.directory, log.limits).run_once(0, patient=True)
    assert report.sealed == 1
    assert [name[:21] for name in log.files()] == [
        "0000000001-0000000003", "0000000004.journal", "0000000005.journal",
    ]  # fmt: skip


def test_sealing_when_patient_and_rows_are_many_but_new_then_they_can_be_read_first(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintainer, "SEAL_ROWS", 5)
    log.write([make_batch(10)])
    task = Maintainer(log.directory, log.limits)
    written_ms = int(log.only_file().stat().st_mtime * 1000)
    assert task.run_once(written_ms + 2_000, patient=True).sealed == 0
    assert task.run_once(written_ms + 3_001, patient=True).sealed == 1


def test_open_journal_when_maintained_then_left_alone(log: Any, make_batch: Any) -> None:
    writer = log.writer()
    writer.append(make_batch(4))
    writer.flush({}, log.now_ms)
    assert log.maintain().sealed == 0
    assert log.files() == ["0000000001.open"]
    writer.close()


def test_segment_when_it_has_no_rows_then_its_journal_just_goes(log: Any) -> None:
    writer = log.writer()
    writer.flush({"a": 1}, log.now_ms)
    writer.close(log.now_ms)
    log.maintain()
    assert log.files() == []


def seal_one_by_one(log: Any, make_batch: Any, count: int, rows: int = 10) -> None:
    for number in range(count):
        log.write([make_batch(rows, number, log.now_ms)])
        log.maintain()


def test_merging_when_many_small_files_in_the_hour_then_few_are_left(
    log: Any, make_batch: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintainer, "FAN", 4)
    log.now_ms -= log.now_ms % HOUR_MS
    batches = [make_batch(10, number, log.now_ms + number * 1000) for number in range(11)]
    for batch in batches:
        log.write([batch])
        log.now_ms -= 61_000
        log.maintain()
    assert len(log.files()) == 2
    assert records(log.read()) == records(batches)


def test_merging_when_the_hour_is_over_then_one_file_an_hour(log: Any, make_batch: Any) -> None:
    log.now_ms -= log.now_ms % HOUR_MS
    seal_one_by_one(log, make_batch, 5)
    log.now_ms += HOUR_MS
    seal_one_by_one(log, make_batch, 3)
    spans = [(file.first, file.last) for file in list_files(log.directory, False)[0]]
    assert spans == [(1, 5), (6, 6), (7, 7), (8, 8)]
    log.maintain(HOUR_MS)
    spans = [(file.first, file.last) for file in list_files(log.directory, False)[0]]
    assert spans == [(1, 5), (6, 8)]
    assert total(log) == 80


def test_merging_when_row_groups_are_big_then_copied_octet_by_octet(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "COPY_ROWS", 50)
    log.write([make_batch(100, 1)])
    log.maintain()
    log.write([make_batch(60, 2, vlan_id=np.uint16(7))])
    log.maintain()
    parts = [ParquetFile(log.directory / "flows" / name) for name in log.files()]
    octets = [bytes(part.octets(part.groups[0])) for part in parts]
    log.maintain(2 * HOUR_MS)
    merged = ParquetFile(log.only_file())
    assert [bytes(merged.octets(group)) for group in merged.groups] == octets
    assert total(log) == 160


def test_merging_when_small_and_big_row_groups_alternate_then_order_and_age_are_kept(
    log: Any, make_batch: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "COPY_ROWS", 50)
    batches = [make_batch(10 + 90 * (number % 2), number) for number in range(5)]
    for number, batch in enumerate(batches):
        log.write([batch])
        journal = log.directory / "flows" / f"{number + 1:010}.journal"
        os.utime(journal, (1_000_000 + number, 1_000_000 + number))
        log.maintain()
    log.maintain(2 * HOUR_MS)
    assert records(log.read()) == records(batches)
    assert log.only_file().stat().st_mtime == 1_000_004


def test_interrupted_run_when_parts_are_left_then_not_counted_twice_and_cleared(
    log: Any, make_batch: Any
) -> None:
    seal_one_by_one(log, make_batch, 3)
    kept = {name: (log.directory / "flows" / name).read_bytes() for name in log.files()}
    log.maintain(2 * HOUR_MS)
    for name, octets in kept.items():
        (log.directory / "flows" / name).write_bytes(octets)
    (log.directory / "flows" / "0000000001-0000000009.parquet.tmp").write_bytes(b"half")
    assert total(log) == 30
    log.maintain(2 * HOUR_MS)
    assert len(log.files()) == 1
    assert total(log) == 30


@pytest.mark.parametrize("change", ["cut", "empty", "footer", "data"])
def test_damaged_file_when_merged_then_set_aside_and_the_rest_goes_on(
    log: Any, make_batch: Any, change: str
) -> None:
    seal_one_by_one(log, make_batch, 4)
    path = log.directory / "flows" / log.files()[1]
    octets = bytearray(path.read_bytes())
    if change == "cut":
        del octets[len(octets) // 2 :]
    elif change == "empty":
        octets.clear()
    elif change == "footer":
        octets[-200:-100] = bytes(100)
    else:
        octets[40] ^= 0x10
    path.write_bytes(octets)
    report = log.maintain(2 * HOUR_MS)
    assert len(report.damaged) == 1
    assert total(log) == 30
    assert [name for name in log.files() if name.endswith(".damaged")] == [path.name + ".damaged"]


def test_retention_by_age_when_old_then_expired_but_not_what_a_loader_needs(
    log: Any, make_batch: Any
) -> None:
    log.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=1000)
    seal_one_by_one(log, make_batch, 6)
    now_ms = log.now_ms
    report = log.maintain(1_000_000 - 3 * 61_000, cursor_floor=lambda: Cursor(3, 5))
    assert (report.expired, report.rows_expired, report.rows_lost) == (2, 20, 0)
    assert total(log) == 40
    log.now_ms = now_ms
    assert log.maintain(1_000_000 - 3 * 61_000).expired > 0
    assert total(log) <= 30


def test_retention_by_age_when_capture_is_old_but_just_imported_then_kept(
    log: Any, make_batch: Any
) -> None:
    log.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=1000)
    log.write([make_batch(10, at_ms=1_000_000_000_000)])
    written_ms = int(log.only_file().stat().st_mtime * 1000)
    task = Maintainer(log.directory, log.limits)
    assert task.run_once(written_ms + 999_000).expired == 0
    assert task.run_once(written_ms + 1_001_000).expired == 1


def test_retention_by_octets_when_over_then_oldest_go_and_losses_are_counted(
    log: Any, make_batch: Any
) -> None:
    seal_one_by_one(log, make_batch, 6, rows=1000)
    sizes = [(log.directory / "flows" / name).stat().st_size for name in log.files()]
    budget = sum(sizes) - sizes[0] - sizes[1] // 2
    log.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0, retention_octets=budget)
    report = log.maintain(cursor_floor=lambda: Cursor(2, 400))
    assert (report.expired, report.rows_expired, report.rows_lost) == (2, 2000, 600)
    assert total(log) == 4000
    held = sum(path.stat().st_size for path in (log.directory / "flows").iterdir())
    assert held <= budget


def test_retention_by_octets_when_a_file_has_several_segments_then_loss_is_summed(
    log: Any, make_batch: Any
) -> None:
    log.write(*[[make_batch(1000, number)] for number in range(3)])
    log.maintain()
    log.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0, retention_octets=1)
    report = log.maintain(cursor_floor=lambda: Cursor(1, 400))
    assert (report.rows_expired, report.rows_lost) == (3000, 2600)


def test_retention_by_octets_when_files_were_set_aside_then_they_go_first(
    log: Any, make_batch: Any
) -> None:
    seal_one_by_one(log, make_batch, 2)
    aside = log.directory / "flows" / "0000000009.journal.damaged"
    aside.write_bytes(bytes(100_000))
    log.limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0, retention_octets=100_000)
    assert log.maintain().expired == 0
    assert not aside.exists()
    assert total(log) == 20


def test_second_maintainer_when_first_runs_then_refused(log: Any) -> None:
    task = Maintainer(log.directory, log.limits)
    with task._lock(), pytest.raises(StorageError, match="another process maintains"):
        Maintainer(log.directory, log.limits).run_once(0)


def swallow(_segment: int, pieces: Any) -> None:
    """Watch as somebody who catches whatever happens, and who stops looking early."""
    with contextlib.suppress(OSError):
        next(pieces)


def test_journal_when_it_cannot_be_read_while_watched_then_it_stays_whole(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write([make_batch(10), make_batch(10), make_batch(10)])
    with monkeypatch.context() as patched:
        patched.setattr(journal.MappedJournal, "read", _fail)
        with pytest.raises(StorageError, match="Input/output error"):
            log.maintain(watch=swallow)
    assert any(name.endswith(".journal") for name in log.files())
    log.maintain(watch=swallow)
    assert total(log) == 30


def _fail(mapped: Any, frame: Any) -> Any:
    raise OSError(5, "Input/output error")


def test_journal_when_its_frames_are_large_then_each_column_comes_back(
    log: Any, make_batch: Any
) -> None:
    batches = [make_batch(50_000, number) for number in range(3)]
    log.write(batches)
    before = log.read()
    log.maintain()
    (after,) = log.read()
    for name, column in after.columns.items():
        expected = np.concatenate([batch.column(name) for batch in before])
        np.testing.assert_array_equal(column, expected, err_msg=name)


def test_disk_when_full_while_sealing_then_journal_stays_and_no_half_file(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write([make_batch(10)])

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("appliance.flowlog.parquet.files.os.fsync", fail)
        with pytest.raises(StorageError, match="No space left"):
            log.maintain()
    assert total(log) == 10
    assert log.maintain().sealed == 1
    assert len(log.files()) == 1
    assert total(log) == 10


@pytest.mark.parametrize("step", [1, 7, 10, 10**6])
def test_cursor_when_files_are_sealed_and_merged_in_between_then_reads_each_row_once(
    log: Any, make_batch: Any, records: Any, step: int
) -> None:
    batches = [make_batch(10 + number, number) for number in range(6)]
    reader, cursor, seen = FlowLogReader(log.directory), Cursor(), []

    def read_on() -> None:
        nonlocal cursor
        for _ in range(3):
            tables, cursor = reader.follow(cursor, step, columns=["flow_id"])
            seen.extend(value for table in tables for value in table["flow_id"].to_pylist())

    for number, batch in enumerate(batches):
        log.write([batch])
        read_on()
        log.maintain(2 * HOUR_MS if number % 2 else 0)
        read_on()
    while True:
        before = cursor
        read_on()
        if cursor == before:
            break
    assert seen == [flow for batch in batches for flow in batch.columns["flow_id"].tolist()]


def test_cursor_when_in_the_open_journal_then_goes_on_behind_each_group(
    log: Any, make_batch: Any
) -> None:
    writer, reader = log.writer(), FlowLogReader(log.directory)
    cursor = Cursor()
    for number in range(3):
        writer.append(make_batch(5, number))
        writer.flush({}, log.now_ms)
        rows, cursor = reader.follow_rows(cursor, 100)
        assert [piece.n_rows for piece in rows] == [5]
        assert cursor == Cursor(1, 5 * (number + 1))
    assert reader.follow_rows(cursor, 100) == ([], cursor)
    writer.close()


def test_cursor_when_its_segment_was_expired_then_goes_on_with_the_oldest(
    log: Any, make_batch: Any
) -> None:
    seal_one_by_one(log, make_batch, 4)
    os.unlink(log.directory / "flows" / log.files()[0])
    rows, cursor = FlowLogReader(log.directory).follow_rows(Cursor(1, 3), 1000)
    assert sum(piece.n_rows for piece in rows) == 30
    assert cursor == Cursor(5, 0)


def test_damaged_sealed_file_when_followed_then_skipped_and_counted(
    log: Any, make_batch: Any
) -> None:
    seal_one_by_one(log, make_batch, 3)
    path = log.directory / "flows" / log.files()[1]
    octets = bytearray(path.read_bytes())
    octets[30] ^= 1
    path.write_bytes(octets)
    reader = FlowLogReader(log.directory)
    rows, cursor = reader.follow_rows(Cursor(), 1000)
    assert sum(piece.n_rows for piece in rows) == 20
    assert (cursor, reader.damaged) == (Cursor(4, 0), 1)


def test_names_when_not_ours_then_ignored(log: Any, make_batch: Any) -> None:
    log.write([make_batch(1)])
    folder = log.directory / "flows"
    for name in ("x", "1.open", "0000000002-0000000001.1-2.parquet", "0000000005.journal.bak"):
        (folder / name).write_bytes(b"")
    assert [Path(file.path).name for file in list_files(log.directory, False)[0]] == [
        "0000000001.journal"
    ]
    assert total(log) == 1
