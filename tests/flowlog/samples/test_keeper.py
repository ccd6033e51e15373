"""Samples of hours, days and months beside a flow log that grows, is merged and expires."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from appliance.errors import StorageError
from appliance.flowlog import journal
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import Cursor
from appliance.flowlog.samples import keeper as keeping
from appliance.flowlog.samples.files import (
    DAY_MS,
    HOUR_MS,
    STATE_FILE,
    list_samples,
    period_end,
    period_start,
    read_sample,
)
from appliance.flowlog.samples.keeper import SETTLED_MS, SampleKeeper, SampleLimits

LIMITS = SampleLimits(hour_rows=200, day_rows=400, month_rows=600)
DAY = period_start("day", 4_102_444_800_000)
"""1 January 2100, from when the flow log of the tests is."""

NOW_MS = DAY + 26 * HOUR_MS


def keeper_of(log: Any, limits: SampleLimits = LIMITS, **options: Any) -> SampleKeeper:
    return SampleKeeper(log.directory, log.directory.parent / "samples", limits, **options)


def load(keeper: SampleKeeper, now_ms: int) -> None:
    """Take over all that is there, and write it."""
    while keeper.load_once(now_ms / 1000).busy:
        pass
    keeper.finish(now_ms / 1000)


def contents(keeper: SampleKeeper) -> dict[str, list[Any]]:
    """Return the rows of all samples by file, in an order of their own."""
    tables = {file.path.name: pq.read_table(file.path) for file in list_samples(keeper.folder)}
    return {
        name: sorted(
            zip(*(table.column(c).to_pylist() for c in sorted(table.schema.names)), strict=True)
        )
        for name, table in tables.items()
    }


def octets(keeper: SampleKeeper, name: str) -> float:
    table = pq.read_table(keeper.folder / name)
    weights = table.column("sample_weight").to_numpy()
    return float((table.column("octet_delta_count").to_numpy() * weights).sum())


@pytest.fixture
def two_days(log: Any, make_batch: Any) -> Any:
    """A log with 1000 flows in each of 26 hours, of sizes from 1 to 1000 octets."""
    sizes = np.arange(1, 1001, dtype="u8")
    log.write(
        *(
            [make_batch(1000, hour, DAY + hour * HOUR_MS + 5, octet_delta_count=sizes)]
            for hour in range(26)
        )
    )
    return log


def test_keeper_when_a_day_is_over_then_hours_and_the_day_have_samples(two_days: Any) -> None:
    keeper = keeper_of(two_days)
    now_ms = DAY + 26 * HOUR_MS
    load(keeper, now_ms)
    keeper.load_once(now_ms / 1000 + 600)
    files = list_samples(keeper.folder)
    assert [file.level for file in files].count("hour") == 26
    assert [(f.from_ms, f.to_ms) for f in files if f.level == "day"] == [(DAY, DAY + DAY_MS)]
    assert octets(keeper, f"hour.{DAY}.parquet") == pytest.approx(500_500, rel=0.25)
    assert octets(keeper, f"day.{DAY}.parquet") == pytest.approx(24 * 500_500, rel=0.25)
    day = pq.read_table(keeper.folder / f"day.{DAY}.parquet")
    assert 390 <= day.num_rows <= 600
    load(keeper, period_end("month", period_start("month", DAY)) + 3600_000)
    keeper.load_once(period_end("month", DAY) / 1000 + 7200)
    months = [file for file in list_samples(keeper.folder) if file.level == "month"]
    assert [file.from_ms for file in months] == [DAY]
    assert pq.read_table(months[0].path).column("sample_weight").to_numpy().sum() == pytest.approx(
        26_000, rel=0.25
    )


@pytest.mark.parametrize("is_merged", [False, True])
def test_keeper_when_killed_anywhere_then_samples_are_those_of_a_rebuild(
    two_days: Any, monkeypatch: pytest.MonkeyPatch, is_merged: bool
) -> None:
    monkeypatch.setattr(keeping, "STEP_ROWS", 700)
    whole = keeper_of(two_days)
    now_ms = DAY + 26 * HOUR_MS
    load(whole, now_ms)
    state = (whole.folder / "state.json").read_text()
    expected = contents(whole)
    for stop in (1, 10, 25):
        shutil.rmtree(whole.folder)
        whole.folder.mkdir()
        (whole.folder / "state.json").write_text(_from_the_start(state))
        killed = keeper_of(two_days)
        for step in range(stop):
            killed.load_once(now_ms / 1000 + 400 * step)
        if is_merged:
            two_days.maintain()
        if stop == 10:  # between the samples of hours and the state
            (whole.folder / "state.json").write_text(_from_the_start(state))
        load(keeper_of(two_days), now_ms)
        assert {k: v for k, v in contents(whole).items() if k.startswith("hour")} == {
            k: v for k, v in expected.items() if k.startswith("hour")
        }


def _from_the_start(state: str) -> str:
    seed = state.partition('"seed": ')[2]
    return f'{{"cursor": [0, 0], "seed": {seed}'


def test_keeper_when_flows_come_late_then_the_day_is_made_again(
    two_days: Any, make_batch: Any
) -> None:
    keeper = keeper_of(two_days)
    now_ms = DAY + 26 * HOUR_MS
    load(keeper, now_ms)
    keeper.load_once(now_ms / 1000 + 600)
    before = octets(keeper, f"day.{DAY}.parquet")
    late = make_batch(1, 77, DAY + 7 * HOUR_MS, octet_delta_count=np.uint64(10**9))
    two_days.write([late])
    load(keeper, now_ms + 120_000)
    keeper.load_once(now_ms / 1000 + 1200)
    assert octets(keeper, f"day.{DAY}.parquet") - before == pytest.approx(10**9, rel=0.01)


def test_keeper_when_samples_are_past_their_time_then_hours_and_days_go_and_months_stay(
    two_days: Any,
) -> None:
    limits = SampleLimits(200, 400, 600, hour_seconds=86_400, day_seconds=10 * 86_400)
    keeper = keeper_of(two_days, limits)
    load(keeper, DAY + 26 * HOUR_MS)
    keeper.load_once(DAY / 1000 + 40 * 86_400)
    keeper.expire(DAY / 1000 + 40 * 86_400)
    assert {file.level for file in list_samples(keeper.folder)} == {"month"}


def test_keeper_when_a_sample_cannot_be_written_then_it_waits_and_nothing_is_lost(
    two_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(two_days)
    now_ms = DAY + 26 * HOUR_MS
    with monkeypatch.context() as patched:
        patched.setattr(keeping, "write_sample", _full)
        with pytest.raises(StorageError, match=r"cannot be written: .*No space left"):
            load(keeper, now_ms)
        assert keeper.cursor() == (0, 0)
    load(keeper, now_ms)
    fresh = SampleKeeper(two_days.directory, keeper.folder.parent / "fresh", LIMITS)
    fresh.folder.mkdir()
    state = _from_the_start((keeper.folder / "state.json").read_text())
    (fresh.folder / "state.json").write_text(state)
    load(fresh, now_ms)
    assert contents(keeper) == contents(fresh)


def encodings(keeper: SampleKeeper, hour: int) -> set[str]:
    """Return how the octets in the file of an hour are encoded."""
    group = pq.ParquetFile(keeper.folder / f"hour.{hour}.parquet").metadata.row_group(0)
    columns = map(group.column, range(group.num_columns))
    return next({*c.encodings} for c in columns if c.path_in_schema == "octet_delta_count")


@pytest.mark.parametrize("restarts", [False, True])
def test_keeper_when_an_hour_is_over_then_its_sample_is_written_small(
    log: Any, make_batch: Any, restarts: bool
) -> None:
    keeper = keeper_of(log)
    log.write([make_batch(300, 0, DAY + 5, octet_delta_count=np.arange(300, dtype="u8"))])
    load(keeper, DAY + 60_000)
    assert "BYTE_STREAM_SPLIT" in encodings(keeper, DAY)
    before = contents(keeper)
    if restarts:
        keeper = keeper_of(log)
    log.write([make_batch(1, 1, DAY + HOUR_MS)])
    load(keeper, DAY + HOUR_MS + 60_000)
    keeper.load_once((DAY + HOUR_MS + 60_000 + SETTLED_MS) / 1000)
    assert "RLE_DICTIONARY" in encodings(keeper, DAY)
    assert "BYTE_STREAM_SPLIT" in encodings(keeper, DAY + HOUR_MS)
    assert contents(keeper)[f"hour.{DAY}.parquet"] == before[f"hour.{DAY}.parquet"]


def test_keeper_when_flows_pause_then_an_hour_that_expired_does_not_come_back(
    log: Any, make_batch: Any
) -> None:
    limits = SampleLimits(200, 400, 600, hour_seconds=86_400)
    keeper = keeper_of(log, limits)
    log.write([make_batch(300, 0, DAY + 5)])
    load(keeper, DAY + 60_000)
    keeper.expire(DAY / 1000 + 5 * 86_400)
    later = DAY + 5 * DAY_MS
    log.write([make_batch(1, 1, later)])
    load(keeper, later + 60_000)
    hours = [file.from_ms for file in list_samples(keeper.folder) if file.level == "hour"]
    assert hours == [later]


@pytest.mark.parametrize("is_late", [False, True])
def test_keeper_when_it_draws_while_sealing_then_the_same_sample(
    two_days: Any, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    monkeypatch.setattr(keeping, "_MOST_HOURS", 26)
    whole, sealing = keeper_and_twin(two_days)
    # Of one that is late nothing is drawn before it knows where it was.
    assert not list_samples(sealing.folder)
    if is_late:
        two_days.maintain()
        load(sealing, NOW_MS)
    else:
        two_days.maintain(watch=sealing.draw_sealed)
        monkeypatch.setattr(sealing._reader, "_read_sealed", None)  # nothing is read again
        load(sealing, NOW_MS)
    assert contents(sealing) == contents(whole)


def test_keeper_when_drawing_while_sealing_fails_then_drawn_once_from_the_sealed_file(
    two_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_MOST_HOURS", 26)
    whole, sealing = keeper_and_twin(two_days)
    draws: list[int] = []

    def fail_midway(start_ms: int, *given: Any) -> None:
        draws.append(start_ms)
        if len(draws) == 10:  # once
            raise OSError(5, "Input/output error")
        add(start_ms, *given)

    add = sealing._add
    monkeypatch.setattr(sealing, "_add", fail_midway)
    two_days.maintain(watch=sealing.draw_sealed)
    load(sealing, NOW_MS)
    assert len(draws) > 10
    assert contents(sealing) == contents(whole)


def test_keeper_when_a_journal_cannot_be_read_while_sealing_then_drawn_later(
    two_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sealing = keeper_and_twin(two_days)
    read, calls = journal.MappedJournal.read, []

    def fail_from_the_tenth(mapped: Any, frame: Any) -> Any:
        calls.append(frame)
        if len(calls) >= 10:
            raise OSError(5, "Input/output error")
        return read(mapped, frame)

    with monkeypatch.context() as patched:
        patched.setattr(journal.MappedJournal, "read", fail_from_the_tenth)
        with pytest.raises(StorageError, match="Input/output error"):
            two_days.maintain(watch=sealing.draw_sealed)
    two_days.maintain(watch=sealing.draw_sealed)
    load(sealing, NOW_MS)
    assert contents(sealing) == contents(whole)


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), ValueError("no such thing")])
def test_keeper_when_it_cannot_tell_whose_turn_it_is_then_nothing_is_forgotten(
    two_days: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(keeping, "_MOST_HOURS", 26)
    sealing = keeper_of(two_days, draws_while_sealing=True)
    load(sealing, NOW_MS)
    two_days.maintain(watch=sealing.draw_sealed)  # drawn, and not written

    def fail(segment: int) -> bool:
        raise error

    late = make_batch(100, 77, DAY + 25 * HOUR_MS)
    two_days.write([late])
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "_is_next", fail)
        assert two_days.maintain(watch=sealing.draw_sealed).sealed == 1
    load(sealing, NOW_MS)
    assert sum(counted(sealing).values()) == 26 * 1000 + 100


def test_keeper_when_journals_are_of_many_hours_then_few_are_in_memory(two_days: Any) -> None:
    sealing = keeper_of(two_days, draws_while_sealing=True)
    load(sealing, NOW_MS)
    two_days.maintain(watch=sealing.draw_sealed)
    assert len(sealing._hours) <= 3
    load(sealing, NOW_MS)
    assert counted(sealing) == {DAY + hour * HOUR_MS: 1000 for hour in range(26)}


def test_keeper_when_a_sample_is_damaged_and_drawing_fails_too_then_drawn_from_the_start(
    two_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(two_days)
    load(keeper, NOW_MS)
    expected = contents(keeper)
    (keeper.folder / f"hour.{DAY}.parquet").write_bytes(b"PAR1")
    keeper._go_back_to(Cursor())
    assert keeper.load_once(NOW_MS / 1000).busy  # set aside
    with monkeypatch.context() as patched:
        patched.setattr(keeper, "_draw", _full)
        with pytest.raises(TypeError):
            keeper.load_once(NOW_MS / 1000)
    load(keeper_of(two_days), NOW_MS)  # another process goes on
    assert contents(keeper) == expected


def counted(keeper: SampleKeeper) -> dict[int, int]:
    """Return how many flows the sample of each hour is of."""
    return {
        file.from_ms: read_sample(file.path)[1].n_flows
        for file in list_samples(keeper.folder)
        if file.level == "hour"
    }


def test_keeper_when_it_is_at_work_then_sealing_does_not_wait(two_days: Any) -> None:
    whole, sealing = keeper_and_twin(two_days)
    with sealing._lock:
        two_days.maintain(watch=sealing.draw_sealed)
    load(sealing, NOW_MS)
    assert contents(sealing) == contents(whole)


def keeper_and_twin(log: Any) -> tuple[SampleKeeper, SampleKeeper]:
    """Return a keeper that has drawn all of a log, and one that is to draw the same of it while it
    is sealed."""
    whole = keeper_of(log)
    load(whole, NOW_MS)
    folder = whole.folder.with_name("beside")
    folder.mkdir()
    SampleKeeper.copy_seed(whole.folder / STATE_FILE, folder / STATE_FILE)
    sealing = SampleKeeper(log.directory, folder, LIMITS, draws_while_sealing=True)
    load(sealing, NOW_MS)
    return whole, sealing


def _full(path: Path, table: Any, described: Any) -> None:
    raise OSError(28, "No space left on device", str(path))


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"{}"])
def test_keeper_when_a_file_is_damaged_then_set_aside_and_drawn_again(
    two_days: Any, damage: bytes
) -> None:
    keeper = keeper_of(two_days)
    now_ms = DAY + 26 * HOUR_MS
    load(keeper, now_ms)
    expected = contents(keeper)
    last = keeper.folder / f"hour.{DAY + 25 * HOUR_MS}.parquet"
    last.write_bytes(damage)
    (keeper.folder / "state.json").write_text(
        _from_the_start((keeper.folder / "state.json").read_text())
    )
    load(keeper_of(two_days), now_ms)
    assert contents(keeper) == expected
    assert last.with_name(f"{last.name}.damaged").exists()


def test_sample_when_octets_of_it_are_changed_then_damaged_or_as_it_was(two_days: Any) -> None:
    keeper = keeper_of(two_days)
    load(keeper, DAY + 26 * HOUR_MS)
    path = keeper.folder / f"hour.{DAY}.parquet"
    sound = path.read_bytes()
    random = np.random.default_rng(3)
    for place in random.integers(0, len(sound), 300).tolist():
        octets = bytearray(sound)
        octets[place] ^= int(random.integers(1, 256))
        path.write_bytes(octets[: place + 1] if place % 3 == 0 else octets)
        with suppress(DamagedFile):
            assert read_sample(path)[0].num_rows >= 0


def test_keeper_when_its_folder_cannot_be_used_then_one_sentence_and_later_all(
    two_days: Any,
) -> None:
    keeper = keeper_of(two_days)
    keeper.folder.write_bytes(b"in the way")
    with pytest.raises(StorageError, match=r"samples in .*: .*File exists"):
        load(keeper, DAY + 26 * HOUR_MS)
    keeper.folder.unlink()
    load(keeper, DAY + 26 * HOUR_MS)
    assert sum(name.startswith("hour") for name in contents(keeper)) == 26


def test_keeper_when_its_state_is_damaged_then_nothing_is_twice(two_days: Any) -> None:
    keeper = keeper_of(two_days)
    load(keeper, DAY + 26 * HOUR_MS)
    expected = contents(keeper)
    (keeper.folder / "state.json").write_bytes(b"{")
    load(keeper_of(two_days), DAY + 26 * HOUR_MS)
    assert contents(keeper) == expected
