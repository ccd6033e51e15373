"""The two journals of the segment being written, and batches joined to be worth a frame."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flowlog import journal
from appliance.flowlog.names import journal_path, set_aside
from appliance.flowlog.schema import rows_from_batch
from appliance.flows import COLLECTION_TIME, FlowBatch, is_constant

SMALL_BATCH_ROWS = 8_192
"""Batches below this are joined with others of the same columns: a frame costs some 100
microseconds."""


class OpenSegment:
    """The two journals of the segment being written."""

    def __init__(self, directory: Path, number: int, now_ms: int) -> None:
        self.directory, self.number, self.since_ms = directory, number, now_ms
        self.rows = self.groups = 0
        self._torn = False
        self._descriptors = [-1, -1]
        self._ends = [0, 0]
        self._options_rows = 0
        self._times: list[tuple[int, int] | None] = [None, None]
        self._descriptor(False)

    def _descriptor(self, options: bool) -> int:
        if self._descriptors[options] < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._descriptors[options] = os.open(self._path(options), flags, 0o640)
        return self._descriptors[options]

    def write(self, batches: list[FlowBatch], changes: Mapping[str, Any]) -> int:
        """Write one group; return its octets."""
        self._undo_torn()
        ends, times, rows = list(self._ends), list(self._times), [0, 0]
        for batch in sorted(batches, key=lambda b: not b.options):
            written = journal.write_rows(self._descriptor(batch.options), rows_from_batch(batch))
            ends[batch.options] += written
            rows[batch.options] += batch.n_records
            times[batch.options] = _widen(times[batch.options], batch)
        commit = {
            "state": changes,
            "options_end": ends[True],
            "options_rows": self._options_rows + rows[True],
            "times": times[False],
            "options_times": times[True],
        }
        ends[False] += journal.write_commit(self._descriptor(False), commit)
        octets = sum(ends) - sum(self._ends)
        self._ends, self._times = ends, times
        self._options_rows += rows[True]
        self.rows += sum(rows)
        self.groups += 1
        return octets

    def undo(self) -> None:
        """Cut both journals back to the last commit."""
        self._torn = True
        self._undo_torn()

    def _undo_torn(self) -> None:
        if not self._torn:
            return
        for descriptor, end in zip(self._descriptors, self._ends, strict=True):
            if descriptor >= 0:
                os.ftruncate(descriptor, end)
                os.lseek(descriptor, end, os.SEEK_SET)
        self._torn = False

    def missing_rows(self) -> int | None:
        """Return the rows of journals that were deleted or replaced; None while there are none.

        One that was cut off counts as well: what is written behind a gap cannot be read.
        """
        changed = [options for options in (False, True) if not self._is_whole(options)]
        if not changed:
            return None
        rows = (self.rows - self._options_rows, self._options_rows)
        return sum(rows[options] for options in changed)

    def close(self) -> None:
        """Give the journals their closed names, options first.

        They are not synced: that would hold up the sockets for as long as the disk takes, and
        sealing syncs the same rows, compressed, within seconds.
        """
        self._undo_torn()
        for options in (True, False):
            if self._descriptors[options] >= 0:
                path = self._path(options)
                if self._is_ours(options):
                    os.replace(path, journal_path(self.directory, options, self.number, "journal"))
                else:
                    with suppress(FileNotFoundError):
                        set_aside(path)
                os.close(self._descriptors[options])
                self._descriptors[options] = -1

    def _path(self, options: bool) -> Path:
        return journal_path(self.directory, options, self.number, "open")

    def _is_ours(self, options: bool) -> bool:
        """Tell whether a journal's name still is that of the open file."""
        own = os.fstat(self._descriptors[options])
        try:
            named = os.lstat(self._path(options))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)

    def _is_whole(self, options: bool) -> bool:
        if self._descriptors[options] < 0:
            return True
        size = os.fstat(self._descriptors[options]).st_size
        return self._is_ours(options) and size >= self._ends[options]


def _widen(times: tuple[int, int] | None, batch: FlowBatch) -> tuple[int, int]:
    column = batch.column(COLLECTION_TIME)
    if is_constant(column):
        low = high = int(column[0])
    else:
        low, high = int(column.min()), int(column.max())
    return (low, high) if times is None else (min(low, times[0]), max(high, times[1]))


def join_batches(batches: list[FlowBatch], octets: frozenset[str]) -> list[FlowBatch]:
    """Join small batches of the same columns, so that a frame is worth its cost."""
    result: list[FlowBatch] = []
    small: defaultdict[tuple[Any, ...], list[FlowBatch]] = defaultdict(list)
    for batch in batches:
        kept = {name: column for name, column in batch.octets.items() if name in octets}
        bare = FlowBatch(batch.n_records, batch.columns, kept, batch.options)
        if batch.n_records >= SMALL_BATCH_ROWS:
            result.append(bare)
        else:
            small[(batch.options, frozenset(bare.columns), frozenset(kept))].append(bare)
    return result + [_concatenate(group) for group in small.values()]


def _concatenate(group: list[FlowBatch]) -> FlowBatch:
    if len(group) == 1:
        return group[0]
    first = group[0]
    whole = FlowBatch(sum(batch.n_records for batch in group), {}, options=first.options)
    for name, column in first.columns.items():
        parts = [batch.columns[name] for batch in group]
        if is_constant(column) and all(is_constant(p) and p[0] == column[0] for p in parts):
            whole.columns[name] = np.broadcast_to(column[:1], (whole.n_records,))
        else:
            whole.columns[name] = np.concatenate(parts)
    for name in first.octets:
        whole.octets[name] = np.concatenate([batch.octets[name].astype(object) for batch in group])
    return whole
