"""Journals that are cut or damaged give exactly their committed groups, and never a crash."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.flowlog import FlowLogReader, journal
from appliance.flowlog.journal import DamagedFile


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return {}


def groups(log: Any, make_batch: Any) -> tuple[bytes, list[int], list[int]]:
    """Write a journal of a few groups; return its octets, the end of each group, and its rows."""
    writer = log.writer()
    ends, rows = [0], [0]
    for number in range(4):
        for batch in range(number):
            names = {"vlan_id": np.uint16(batch)} if batch % 2 else {}
            writer.append(make_batch(2 + batch, number, **names))
        writer.flush({"group": number}, log.now_ms)
        ends.append(log.only_file().stat().st_size)
        rows.append(writer.rows_written)
    octets = log.only_file().read_bytes()
    writer.close()
    return octets, ends, rows


def test_journal_when_cut_anywhere_then_has_exactly_the_whole_groups(
    log: Any, make_batch: Any
) -> None:
    octets, ends, rows = groups(log, make_batch)
    path = log.directory / "flows" / "0000000001.journal"
    cuts = sorted({*range(0, len(octets), 37), *ends, *(end - 1 for end in ends[1:])})
    for cut in cuts:
        path.write_bytes(octets[:cut])
        expected = max(i for i, end in enumerate(ends) if end <= cut)
        assert journal.scan(path).end == ends[expected]
        snapshot = FlowLogReader(log.directory).snapshot()
        assert sum(piece.n_rows for piece in snapshot.rows) == rows[expected]
        assert not snapshot.damaged
        state = journal.scan(path).state
        assert state == ({"group": expected - 1} if expected else {})


def test_journal_when_cut_then_next_writer_cuts_it_off_and_says_so(
    log: Any, make_batch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    octets, ends, rows = groups(log, make_batch)
    path = log.directory / "flows" / "0000000001.open"
    (log.directory / "flows" / "0000000001.journal").unlink()
    (log.directory / "state.json").unlink()
    path.write_bytes(octets[: ends[-1] - 10])
    writer = log.writer()
    assert "octets of a group that was never finished" in caplog.text
    writer.close()
    assert log.files() == ["0000000001.journal"]
    assert log.only_file().stat().st_size == ends[-2]
    assert sum(batch.n_records for batch in log.read()) == rows[-2]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_journal_when_octets_change_then_rows_or_damage_but_no_crash(
    data: st.DataObject, whole: dict[str, Any], new_log: Any, make_batch: Any
) -> None:
    if not whole:
        log = new_log()
        whole["log"], whole["octets"] = log, groups(log, make_batch)[0]
    log, octets = whole["log"], bytearray(whole["octets"])
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    path = log.directory / "flows" / "0000000001.journal"
    path.write_bytes(octets)
    read_all(path)


def read_all(path: Path) -> None:
    committed = journal.scan(path)
    for frame in committed.frames:
        try:
            rows = journal.read_frames(path, [frame])
        except DamagedFile:
            continue
        for piece in rows:
            piece.table().to_pylist()


def test_commit_when_one_digit_of_its_state_changed_then_does_not_count(
    log: Any, make_batch: Any
) -> None:
    octets, ends, rows = groups(log, make_batch)
    changed = octets.replace(b'"group":2', b'"group":7')
    path = log.directory / "flows" / "0000000001.journal"
    path.write_bytes(changed)
    assert changed != octets
    assert journal.scan(path).end == ends[2]
    assert journal.scan(path).rows == rows[2]


def test_journal_when_random_octets_then_nothing_committed(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "0000000001.journal"
    for size in (0, 1, 63, 64, 200, 5000):
        path.write_bytes(chance.randbytes(size))
        assert journal.scan(path).frames == []
        assert journal.scan_options(path) == []


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[]", b"null", b'{"state": 1}', b"\xff", b"[" * 5000,
     b'{"state": {}, "options_end": "x", "options_rows": 0, "times": null, "options_times": null}',
     b'{"state": {}, "options_end": 0, "options_rows": 0, "times": [1], "options_times": null}'],
)  # fmt: skip
def test_commit_when_its_content_is_not_ours_then_does_not_count(
    tmp_path: Path, payload: bytes
) -> None:
    path = tmp_path / "0000000001.journal"
    padding = bytes(-len(payload) % journal.ALIGNMENT)
    path.write_bytes(journal._header(journal.COMMIT, 0, len(payload), payload) + payload + padding)
    assert journal.scan(path).end == 0


def test_frame_when_a_damaged_one_is_sealed_then_the_rest_is_kept_and_the_journal_set_aside(
    log: Any, make_batch: Any
) -> None:
    log.write([make_batch(5, 1), make_batch(6, 2), make_batch(7, 3)])
    path = log.only_file()
    frames = journal.scan(path).frames
    octets = bytearray(path.read_bytes())
    start = frames[1].offset
    octets[start + 8 : start + 200] = bytes(192)
    path.write_bytes(octets)
    report = log.maintain()
    assert len(report.damaged) == 1
    assert sum(batch.n_records for batch in log.read()) == 12
    assert [name for name in log.files() if name.endswith(".journal.damaged")]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_frame_when_any_octet_of_its_rows_changed_then_damaged(
    data: st.DataObject, whole: dict[str, Any], new_log: Any, make_batch: Any
) -> None:
    if not whole:
        log = new_log()
        whole["log"], whole["octets"] = log, groups(log, make_batch)[0]
    log, octets = whole["log"], bytearray(whole["octets"])
    path = log.directory / "flows" / "0000000001.journal"
    path.write_bytes(octets)
    frame = data.draw(st.sampled_from(journal.scan(path).frames))
    octets[frame.offset + data.draw(st.integers(0, frame.length - 1))] ^= data.draw(
        st.integers(1, 255)
    )
    path.write_bytes(octets)
    with pytest.raises(DamagedFile):
        journal.read_frames(path, [frame])


def test_journal_when_of_a_former_version_then_its_rows_are_read(log: Any, make_batch: Any) -> None:
    log.write([make_batch(5, 1), make_batch(6, 2)])
    path = log.only_file()
    octets = bytearray(path.read_bytes())
    for frame in journal.scan(path).frames:
        old = journal._header(journal.UNCHECKED_ROWS, frame.rows, frame.length)
        octets[frame.offset - journal.ALIGNMENT : frame.offset] = old
    path.write_bytes(octets)
    assert sum(batch.n_records for batch in log.read()) == 11
    log.maintain()
    assert sum(batch.n_records for batch in log.read()) == 11
