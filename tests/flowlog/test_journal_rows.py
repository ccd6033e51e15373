"""Rows of journals that are kept between questions are those that are in the files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.flowlog import journal
from appliance.flowlog.journal_rows import MOST_JOURNALS, JournalRows, join_rows
from appliance.flowlog.schema import Rows, batch_from_rows


def _all_rows(pieces: list[Rows], records: Callable[..., Any]) -> Any:
    return records([batch_from_rows(piece) for piece in pieces])


def test_rows_when_a_journal_grows_then_all_and_in_few_pieces(
    log: Any, make_batch: Any, records: Any
) -> None:
    random = np.random.default_rng(5)
    kept, writer, sent = JournalRows(), log.writer(), []
    for number in range(60):
        columns = {"vlan_id": np.full(3, number % 2, "u2")} if number % 3 else {}
        batch = make_batch(
            3, number, sampling_rate=np.full(3, random.integers(1, 3), "f8"), **columns
        )
        writer.append(batch)
        writer.flush({}, 1000 + number)
        sent.append(batch)
        path = log.directory / "flows" / "0000000001.open"
        rows, damaged = kept.read(path, journal.scan(path).frames)
        assert (len(damaged), sum(piece.n_rows for piece in rows)) == (0, 3 * number + 3)
        assert len(rows) < 9
    assert _all_rows(rows, records) == records(sent)
    writer.close(2000)


def test_rows_when_a_frame_is_damaged_then_the_others_and_a_word_each_time(
    log: Any, make_batch: Any
) -> None:
    writer = log.writer()
    for number in range(5):
        writer.append(make_batch(3, number))
        writer.flush({}, 1000 + number)
    path = log.directory / "flows" / "0000000001.open"
    frames = journal.scan(path).frames
    kept = JournalRows()
    kept.read(path, frames[:2])
    octets = bytearray(path.read_bytes())
    octets[frames[3].offset + 100] ^= 1
    path.write_bytes(octets)
    for _ in range(2):
        rows, damaged = kept.read(path, frames)
        assert sum(piece.n_rows for piece in rows) == 12
        assert len(damaged) == 1
    writer.close(2000)


def test_rows_when_another_journal_has_the_name_then_its_own(
    log: Any, new_log: Any, make_batch: Any
) -> None:
    kept = JournalRows()
    logs = (log, new_log())
    for number, one in enumerate(logs):
        writer = one.writer()
        writer.append(make_batch(4, number))
        writer.flush({}, 1000)
    paths = [one.directory / "flows" / "0000000001.open" for one in logs]
    kept.read(paths[0], journal.scan(paths[0]).frames)
    paths[0].write_bytes(paths[1].read_bytes())
    again, fresh = (
        reader.read(paths[0], journal.scan(paths[0]).frames)[0] for reader in (kept, JournalRows())
    )
    assert join_rows(again) == join_rows(fresh)


def test_journals_when_there_are_many_then_the_last_few_are_kept(
    new_log: Any, make_batch: Any
) -> None:
    kept, seen = JournalRows(), []
    for number in range(MOST_JOURNALS + 1):
        log = new_log()
        writer = log.writer()
        writer.append(make_batch(4, number))
        writer.flush({}, 1000)
        path: Path = log.directory / "flows" / "0000000001.open"
        frames = journal.scan(path).frames
        kept.read(path, frames)
        seen.append((path, frames))
        writer.close(2000)
        shutil.rmtree(log.directory)
    assert all(kept.read(*one)[0][0].n_rows == 4 for one in seen[1:])
    with pytest.raises(FileNotFoundError):
        kept.read(*seen[0])


@pytest.mark.parametrize("n_pieces", [1, 2, 7])
def test_join_when_columns_differ_then_nulls_where_there_are_none(n_pieces: int) -> None:
    pieces = [
        Rows(2, constants={"vlan_id": number % 2} if number else {}) for number in range(n_pieces)
    ]
    joined = join_rows(pieces)
    expected = [
        value for number in range(n_pieces) for value in [number % 2 if number else None] * 2
    ]
    assert joined.array("vlan_id").to_pylist() == expected
