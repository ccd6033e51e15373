"""Samples made anew from the flow log, as `appliance rebuild --samples` does.

They are drawn into a folder beside, then take the places of the old ones one by one: until then,
and after a crash at any point, every sample is a whole one, old or new. A loader may run meanwhile.
Of an hour that the log has only a part of any more, the old sample stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from appliance.errors import StorageError
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import Cursor
from appliance.flowlog.samples.files import (
    STATE_FILE,
    Described,
    SampleFile,
    list_samples,
    read_description,
    sample_path,
)
from appliance.flowlog.samples.keeper import SampleKeeper, SampleLimits

NEW_SUFFIX = ".new"


def rebuild_samples(
    log: Path, folder: Path, limits: SampleLimits, end: int, now: float
) -> Iterator[tuple[int, int]]:
    """Make the samples of all hours in the log anew, and of the days and months that they are in.

    Parameters
    ----------
    end
        The newest segment of the log.

    Yields
    ------
    tuple
        The segment up to which hours are drawn, and the newest one.

    Raises
    ------
    StorageError
        The log cannot be read, or a sample not written; what is done until then stays.
    """
    beside = folder.with_name(folder.name + NEW_SUFFIX)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        state = folder / STATE_FILE
        if state.exists():
            # The same seed draws the same flows.
            SampleKeeper.copy_seed(state, beside / STATE_FILE)
        yield from _draw(SampleKeeper(log, beside, limits), end, now)
        kept = SampleKeeper(log, folder, limits)
        for file in list_samples(beside):
            if file.level == "hour":
                _replace(file, kept, now)
        if not state.exists():
            os.replace(beside / STATE_FILE, state)
        kept.combine_finished(now)
        shutil.rmtree(beside)
    except DamagedFile as error:
        raise StorageError(f"{error}: set aside, begin again") from error
    except OSError as error:
        raise StorageError(f"samples in {folder}: {error}") from error


def _draw(keeper: SampleKeeper, end: int, now: float) -> Iterator[tuple[int, int]]:
    is_busy = True
    while is_busy:
        is_busy = keeper.load_once(now).busy
        yield min(keeper.position().segment, end), end
    keeper.finish(now)


def _replace(file: SampleFile, kept: SampleKeeper, now: float) -> None:
    """Put a new sample of an hour in the place of the old one, unless that is of more flows."""
    new, old = read_description(file.path), Described(0, Cursor())
    target = sample_path(kept.folder, "hour", file.from_ms)
    # One that is damaged is set aside.
    with suppress(FileNotFoundError, DamagedFile):
        old = read_description(target)
    if old.n_flows > new.n_flows or old.cursor > new.cursor:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    kept.outdate(file.from_ms, now)
    os.replace(file.path, target)
