"""Samples drawn again from the flow log, beside a loader and across crashes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from appliance.errors import StorageError
from appliance.flowlog.samples import keeper as keeping
from appliance.flowlog.samples import rebuilding
from appliance.flowlog.samples.files import HOUR_MS, list_samples
from appliance.flowlog.samples.keeper import SampleKeeper, SampleLimits
from tests.flowlog.samples.test_keeper import DAY, contents, keeper_of, load, two_days

__all__ = ["two_days"]

NOW = (DAY + 26 * HOUR_MS) / 1000 + 600
LARGER = SampleLimits(hour_rows=500, day_rows=400, month_rows=600)
END = 26


def rebuild(log: Any, limits: SampleLimits) -> list[tuple[int, int]]:
    folder = log.directory.parent / "samples"
    return list(rebuilding.rebuild_samples(log.directory, folder, limits, END, NOW))


@pytest.fixture
def kept(two_days: Any) -> SampleKeeper:
    """Samples of the log, of its hours and a day."""
    keeper = keeper_of(two_days)
    load(keeper, int(NOW * 1000))
    keeper.load_once(NOW + 600)
    return keeper


def test_rebuild_when_nothing_changed_then_the_same_flows_are_drawn(
    two_days: Any, kept: SampleKeeper
) -> None:
    before = contents(kept)
    steps = rebuild(two_days, keeping.SampleLimits(200, 400, 600))
    assert steps[-1] == (END, END)
    assert contents(kept) == before
    assert [path.name for path in kept.folder.parent.glob("samples*")] == ["samples"]


def test_rebuild_when_samples_are_to_be_larger_or_are_gone_then_they_are_made(
    two_days: Any, kept: SampleKeeper
) -> None:
    names = [file.path.name for file in list_samples(kept.folder)]
    (kept.folder / names[3]).unlink()
    (kept.folder / names[5]).write_bytes(b"PAR1 and nothing more")
    rebuild(two_days, LARGER)
    assert [file.path.name for file in list_samples(kept.folder)] == names
    assert all(pq.read_metadata(f.path).num_rows >= 390 for f in list_samples(kept.folder))


def test_rebuild_when_there_were_no_samples_then_a_loader_goes_on_from_them(
    two_days: Any, make_batch: Any
) -> None:
    rebuild(two_days, LARGER)
    keeper = keeper_of(two_days, LARGER)
    before = contents(keeper)
    load(keeper, int(NOW * 1000))
    assert contents(keeper) == before
    two_days.write([make_batch(10, 1, DAY + 2 * HOUR_MS)])
    load(keeper, int(NOW * 1000))
    assert rebuilding.read_description(before_path(keeper)).n_flows == 1010


def before_path(keeper: SampleKeeper) -> Path:
    return keeper.folder / f"hour.{DAY + 2 * HOUR_MS}.parquet"


def test_rebuild_when_the_log_lost_a_part_of_an_hour_then_its_sample_stays(
    two_days: Any, make_batch: Any
) -> None:
    two_days.write([make_batch(500, 99, DAY + 3 * HOUR_MS)])
    keeper = keeper_of(two_days)
    load(keeper, int(NOW * 1000))
    before = contents(keeper)
    # Hours 0 and 1, and the greater part of hour 3.
    for number in (1, 2, 4):
        (two_days.directory / "flows" / f"{number:010}.journal").unlink()
    rebuild(two_days, LARGER)
    after = contents(keeper)
    names = [f"hour.{DAY + hour * HOUR_MS}.parquet" for hour in range(4)]
    assert [after[name] == before[name] for name in names] == [True, True, False, True]


def test_rebuild_when_killed_at_any_file_then_every_sample_is_whole_and_the_next_is_complete(
    two_days: Any, kept: SampleKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(kept)
    expected = shutil.copytree(kept.folder, kept.folder.parent / "other" / "samples")
    rebuilding_all = list(
        rebuilding.rebuild_samples(two_days.directory, expected, LARGER, END, NOW)
    )
    assert rebuilding_all
    new = contents(SampleKeeper(two_days.directory, expected))
    real = os.replace
    for stop in (0, 1, 9, 25):
        left = [stop]

        def replace(source: Any, target: Any, left: list[int] = left) -> None:
            if Path(target).parent == kept.folder:
                if not left[0]:
                    raise OSError(5, "killed")
                left[0] -= 1
            real(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(rebuilding.os, "replace", replace)
            with pytest.raises(StorageError):
                rebuild(two_days, LARGER)
        for name, rows in contents(kept).items():
            assert rows in (before[name], new[name])
    rebuild(two_days, LARGER)
    assert contents(kept) == new
