"""Rows of journals that the process keeps: questions come more often than journals are sealed.

A journal of a quiet site has hundreds of small frames, and reading them one by one takes longer
than the question. Frames that were read stay, joined to few pieces; the next question reads those
that came since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from appliance.flowlog import journal
from appliance.flowlog.journal import DamagedFile, Frame
from appliance.flowlog.schema import Rows, join_rows

MOST_OCTETS = 16 * 1024 * 1024
"""Of a journal that is kept. Larger ones have large frames, which stay in the mapped file."""

MOST_JOURNALS = 8


class _Kept(NamedTuple):
    frames: list[Frame]
    pieces: list[Rows]


class JournalRows:
    """Reads frames of journals, and keeps those of the last few small journals."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: Path, frames: list[Frame]) -> tuple[list[Rows], list[str]]:
        """Return the rows of a journal's first frames in order, and what is damaged of them.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        # A frame is known by its checksum; old ones have none.
        is_small = sum(frame.length for frame in frames) <= MOST_OCTETS
        if not is_small or any(frame.checksum is None for frame in frames):
            return _read(path, frames)
        with self._lock:
            known = self._kept.pop(path, None)
            if known is None or frames[: len(known.frames)] != known.frames:
                known = _Kept([], [])
            rows, damaged = _read(path, frames[len(known.frames) :])
            if damaged:
                return [*known.pieces, *rows], damaged
            pieces = _few_pieces(known.pieces, rows)
            self._kept[path] = _Kept(list(frames), pieces)
            if len(self._kept) > MOST_JOURNALS:
                self._kept.popitem(last=False)
            return pieces, []


def _read(path: Path, frames: Sequence[Frame]) -> tuple[list[Rows], list[str]]:
    try:
        return journal.read_frames(path, list(frames)), []
    except DamagedFile:
        pass
    rows, damaged = [], []
    for frame in frames:
        try:
            rows += journal.read_frames(path, [frame])
        except DamagedFile as error:
            damaged.append(str(error))
    return rows, damaged


def _few_pieces(pieces: Sequence[Rows], more: Sequence[Rows]) -> list[Rows]:
    """Append rows; what is small is joined, each row a few times at most."""
    kept, tail = list(pieces), list(more)
    n_rows = sum(piece.n_rows for piece in tail)
    while tail and kept and kept[-1].n_rows < 2 * n_rows:
        tail.insert(0, kept.pop())
        n_rows += tail[0].n_rows
    return [*kept, join_rows(tail)] if tail else kept
