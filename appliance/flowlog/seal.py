"""Sealing and merging: a closed journal to Parquet, and several sealed files to one.

Both write beside, sync, read the footer back, and only then rename; the old files go after that.
Row order is kept. Row groups that are big enough are copied verbatim, small ones are decoded and
encoded together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from appliance.atomic_files import sync_directory
from appliance.flowlog import journal
from appliance.flowlog.journal import DamagedFile, Frame
from appliance.flowlog.names import LogFile, sealed_name
from appliance.flowlog.parquet import ParquetFile, ParquetWriter
from appliance.flowlog.schema import Rows, family_schema
from appliance.flows import COLLECTION_TIME, OCTETS_PREFIX

ROW_GROUP_ROWS = 1_000_000
COPY_ROWS = 100_000
"""Row groups of at least this many rows are copied; smaller ones are worth joining."""

TMP = ".tmp"


Watch = Callable[[int, Iterator[Rows]], None]
"""Called in the thread that seals, with a segment and the pieces of its rows, before these are
encoded. It need not take all of them, and may keep none."""


class SealedPart(NamedTuple):
    """A closed journal to be sealed: its file, and its committed frames."""

    file: LogFile
    frames: list[Frame]

    @property
    def rows(self) -> int:
        """Rows that it says it has."""
        return sum(frame.rows for frame in self.frames)


def seal(
    parts: Sequence[SealedPart], options: bool, watch: Watch | None = None
) -> tuple[LogFile | None, dict[Path, list[str]]]:
    """Turn closed journals, in their order, into one Parquet file beside them.

    Parameters
    ----------
    watch
        Called for each journal.

    Returns
    -------
    tuple
        The sealed file, None when no row could be read; what was damaged, texts by journal. The
        journals stay: the caller deletes them or sets them aside.
    """
    first, last = parts[0].file, parts[-1].file
    beside = first.path.with_name(f"{first.first:010}-{last.last:010}.parquet{TMP}")
    writer = ParquetWriter(beside, family_schema(options, _octets_columns(parts)))
    problems: dict[Path, list[str]] = {}
    segments: list[tuple[int, int]] = []
    times: list[int] = []
    try:
        for part in parts:
            before = writer.rows
            times += _encode_part(writer, part, problems, watch)
            segments.append((part.file.first, writer.rows - before))
        writer.finish(segments)
    finally:
        writer.close()
    if not writer.rows:
        beside.unlink()
        return None, problems
    low, high = min(times), max(times)
    sealed = LogFile(
        first.path.with_name(sealed_name(first.first, last.last, low, high)),
        "parquet",
        first.first,
        last.last,
        low,
        high,
    )
    modified = [part.file.path.stat().st_mtime for part in parts]
    _publish(beside, sealed.path, modified, writer.rows)
    return sealed, problems


def _encode_part(
    writer: ParquetWriter,
    part: SealedPart,
    problems: dict[Path, list[str]],
    watch: Watch | None,
) -> list[int]:
    """Append a journal; return the first and last collection time of each piece.

    Little of it is in memory at a time: one frame while it is checked and watched, then one column
    while it is encoded.
    """
    if not part.frames:
        return []
    mapped = journal.MappedJournal(part.file.path)
    read: list[Rows | None] = []
    if watch is not None:
        watch(part.file.first, _sound_pieces(mapped, part.frames, problems, read))
    # Whatever was watched, and whatever was caught there: all is read.
    for _ in _sound_pieces(mapped, part.frames, problems, read):
        pass
    rows = [piece for piece in read if piece is not None]
    times = _times(rows)
    mapped.let_go()
    for group in _row_groups(rows):
        writer.encode(group, mapped.let_go)
    return times


def _sound_pieces(
    mapped: journal.MappedJournal,
    frames: Sequence[Frame],
    problems: dict[Path, list[str]],
    read: list[Rows | None],
) -> Iterator[Rows]:
    """Read the frames that are not in `read` yet, put them there, None for damaged ones, and yield
    the others."""
    for frame in frames[len(read) :]:
        try:
            rows = mapped.read(frame)
        except DamagedFile as error:
            problems.setdefault(mapped.path, []).append(error.problem)
            read.append(None)
            continue
        read.append(rows)
        yield rows
        mapped.let_go()


def _octets_columns(parts: Sequence[SealedPart]) -> tuple[str, ...]:
    names = {name for part in parts for name in journal.column_names(part.file.path, part.frames)}
    return tuple(sorted(name for name in names if name.startswith(OCTETS_PREFIX)))


def merge(files: Sequence[LogFile], options: bool) -> LogFile:
    """Turn adjacent sealed files into one that covers them; the caller deletes them.

    Raises
    ------
    DamagedFile
        One of them is; the caller sets it aside.
    OSError
        The disk is full or failing.
    """
    sources = [ParquetFile(file.path) for file in files]
    octets = tuple(sorted({name for source in sources for name in source.octets_columns}))
    schema = family_schema(options, octets)
    first, last = files[0].first, files[-1].last
    low, high = min(f.from_ms for f in files), max(f.to_ms for f in files)
    target = files[0].path.with_name(sealed_name(first, last, low, high))
    beside = target.with_name(target.name + TMP)
    writer = ParquetWriter(beside, schema)
    try:
        _merge_groups(writer, sources)
        writer.finish([pair for source in sources for pair in source.segments])
    finally:
        writer.close()
        for source in sources:
            source.close()
    modified = [file.path.stat().st_mtime for file in files]
    _publish(beside, target, modified, writer.rows)
    return LogFile(target, "parquet", first, last, low, high)


def _merge_groups(writer: ParquetWriter, sources: list[ParquetFile]) -> None:
    pending: list[Rows] = []
    for source in sources:
        fits = source.fits(writer.schema)
        for index, group in enumerate(source.groups):
            copied = fits and group.n_rows >= COPY_ROWS
            if not copied:
                pending.append(source.read(index, writer.schema.names))
            if copied or sum(piece.n_rows for piece in pending) >= ROW_GROUP_ROWS // 2:
                writer.encode(pending)
                pending = []
            if copied:
                writer.copy(source, group)
    writer.encode(pending)


def _row_groups(rows: Iterable[Rows]) -> Iterator[list[Rows]]:
    """Cut rows into row groups of at most one and a half times `ROW_GROUP_ROWS`."""
    group: list[Rows] = []
    held = 0
    for whole in rows:
        for start in range(0, whole.n_rows, ROW_GROUP_ROWS):
            piece = whole.slice(start, start + ROW_GROUP_ROWS)
            if held + piece.n_rows > ROW_GROUP_ROWS * 3 // 2:
                yield group
                group, held = [], 0
            group.append(piece)
            held += piece.n_rows
    if group:
        yield group


def _times(rows: list[Rows]) -> list[int]:
    """Return the first and last collection time of each piece."""
    times: list[int] = []
    for piece in rows:
        if COLLECTION_TIME in piece.arrays:
            extremes = pc.min_max(piece.arrays[COLLECTION_TIME]).as_py()
            times += [extremes["min"] or 0, extremes["max"] or 0]
        else:
            times.append(piece.constants.get(COLLECTION_TIME, 0))
    return times


def _publish(beside: Path, target: Path, modified: list[float], n_rows: int) -> None:
    """Read the new file's footer back and give it its name.

    The time of modification is that of the newest part: rows age from when they were written, so
    that an import of an old capture is not expired at once.
    """
    try:
        written = ParquetFile(beside)
        written.close()
        found = pq.read_metadata(beside).num_rows
        if not written.n_rows == n_rows == found:
            raise RuntimeError(  # noqa: TRY301 - cleaned up below like any failure
                f"{beside.name}: {n_rows} rows written, {found} read back"
            )
        os.utime(beside, (max(modified), max(modified)))
        os.replace(beside, target)
        sync_directory(target.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
