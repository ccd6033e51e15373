"""The journal: record batches as they come, readable up to the last committed group.

A journal is a row of frames, each a header of 64 octets and a payload padded to 64. A ROWS frame
holds one Arrow IPC stream of one record batch: the columns that vary; those that do not stand as
JSON in the schema's metadata. A COMMIT frame, only in the journals of flows, ends a group: JSON
with the state changes of the group, and how far this journal and that of the options records now
count. Whatever follows the last COMMIT is a torn group, and nobody reads it. A frame's header has a
CRC-32 of its payload; journals of former versions have none for rows. Plain octets,
measured: lz4 costs five times the time, and a journal lives for a minute.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from zlib_ng import zlib_ng

from appliance.errors import StorageError
from appliance.flowlog.schema import Rows, arrow_type
from appliance.flows import COLUMN, OCTETS_PREFIX

UNCHECKED_ROWS, COMMIT, ROWS = 1, 2, 3
"""The first is that of former versions."""

_HEADER = struct.Struct(
    "<4sB3xQQI"
)  # magic, kind, rows, payload octets, CRC-32 of header and commit
_MAGIC = b"NFJ1"
ALIGNMENT = 64
MAX_COMMIT_OCTETS = 256 * 1024 * 1024
MAX_FRAME_ROWS = 1 << 31

# What decoding untrusted octets raises; pyarrow reports malformed messages as a bare OSError.
_FAULTS = (
    pa.ArrowException,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    StopIteration,
    RecursionError,
    MemoryError,
    OSError,
)


class DamagedFile(StorageError):  # noqa: N818 - the name says what the file is
    """A file of the log does not hold what it should; whoever meets it sets it aside or skips
    it."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path.name}: {problem}")


class Frame(NamedTuple):
    """Where a frame of rows lies in its journal: the payload, and how many rows it holds.

    Attributes
    ----------
    header
        CRC-32 of the bare header, which that of the payload begins with.
    checksum
        CRC-32 of both; None for an old frame, which has none.
    """

    offset: int
    length: int
    rows: int
    header: int = 0
    checksum: int | None = None


@dataclass
class Committed:
    """What of a journal counts.

    Attributes
    ----------
    end
        Octets of this journal up to the last commit.
    frames
        Committed frames of rows.
    state
        State changes since the start of the journal, merged.
    options_end, options_rows
        How far the options journal of the same segment counts.
    times, options_times
        First and last collection time of either family.
    """

    end: int = 0
    frames: list[Frame] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    options_end: int = 0
    options_rows: int = 0
    times: tuple[int, int] | None = None
    options_times: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        """Committed rows."""
        return sum(frame.rows for frame in self.frames)


def write_all(descriptor: int, octets: Any) -> None:
    """Write everything or raise OSError; the kernel may take less at a time."""
    view = memoryview(octets).cast("B")
    while len(view):
        view = view[os.write(descriptor, view) :]


class _Sink:
    """The least of a file that pyarrow writes to; raises when the disk is full, also on short
    writes."""

    closed = False

    def __init__(self, descriptor: int, checksum: int) -> None:
        self.descriptor, self.checksum = descriptor, checksum

    def write(self, octets: Any) -> None:
        view = memoryview(octets)
        write_all(self.descriptor, view)
        self.checksum = zlib_ng.crc32(view, self.checksum)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def write_rows(descriptor: int, rows: Rows) -> int:
    """Append one frame of rows; return its octets.

    Raises
    ------
    OSError
        The disk is full or failing; the caller truncates to the last commit.
    """
    metadata = {"rows": str(rows.n_rows), "constants": json.dumps(rows.constants)}
    names = list(rows.arrays)
    batch = pa.RecordBatch.from_arrays(list(rows.arrays.values()), names).replace_schema_metadata(
        metadata
    )
    mock = pa.MockOutputStream()
    _write_stream(mock, batch)
    length = int(mock.size())
    # The header, which has the checksum, is written last: its room is left until then.
    start = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, ALIGNMENT, os.SEEK_CUR)
    bare = _HEADER.pack(_MAGIC, ROWS, rows.n_rows, length, 0)
    sink = _Sink(descriptor, zlib_ng.crc32(bare))
    _write_stream(pa.PythonFile(sink, mode="w"), batch)
    _write_all_at(descriptor, _whole_header(ROWS, rows.n_rows, length, sink.checksum), start)
    padding = -length % ALIGNMENT
    write_all(descriptor, bytes(padding))
    return ALIGNMENT + length + padding


def _write_stream(sink: Any, batch: Any) -> None:
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        if batch.num_columns:
            stream.write_batch(batch)


def write_commit(descriptor: int, commit: dict[str, Any]) -> int:
    """Append the frame that makes everything before it count; return its octets."""
    payload = json.dumps(commit, separators=(",", ":")).encode()
    padding = -len(payload) % ALIGNMENT
    write_all(descriptor, _header(COMMIT, 0, len(payload), payload) + payload + bytes(padding))
    return ALIGNMENT + len(payload) + padding


def _header(kind: int, rows: int, length: int, checked: bytes = b"") -> bytes:
    bare = _HEADER.pack(_MAGIC, kind, rows, length, 0)
    return _whole_header(kind, rows, length, zlib_ng.crc32(checked, zlib_ng.crc32(bare)))


def _whole_header(kind: int, rows: int, length: int, checksum: int) -> bytes:
    return _HEADER.pack(_MAGIC, kind, rows, length, checksum).ljust(ALIGNMENT, b"\0")


def _write_all_at(descriptor: int, octets: bytes, offset: int) -> None:
    while octets:
        written = os.pwrite(descriptor, octets, offset)
        octets, offset = octets[written:], offset + written


def scan(path: Path, known: Committed | None = None) -> Committed:
    """Find what of a flows journal is committed, going on from what an earlier scan found.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    result = known or Committed()
    pending: list[Frame] = []
    with path.open("rb") as file:
        for kind, frame, payload in _frames(file, result.end, os.fstat(file.fileno()).st_size):
            if kind != COMMIT:
                pending.append(frame)
            elif not _apply(result, payload):
                break
            else:
                result.frames += pending
                result.end = frame.offset + frame.length + -frame.length % ALIGNMENT
                pending = []
    return result


def scan_options(path: Path, end: int | None = None) -> list[Frame]:
    """Find the frames of an options journal up to `end`, or all whole ones."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        limit = size if end is None else min(end, size)
        return [frame for kind, frame, _ in _frames(file, 0, limit) if kind != COMMIT]


def _frames(file: Any, offset: int, size: int) -> Iterator[tuple[int, Frame, bytes]]:
    """Walk over whole frames; stop silently at the first that is not."""
    while offset + ALIGNMENT <= size:
        file.seek(offset)
        octets = file.read(ALIGNMENT)
        if len(octets) < ALIGNMENT:
            return
        magic, kind, rows, length, checksum = _HEADER.unpack_from(octets)
        start = offset + ALIGNMENT
        if magic != _MAGIC or kind not in (UNCHECKED_ROWS, COMMIT, ROWS) or rows > MAX_FRAME_ROWS:
            return
        if length + -length % ALIGNMENT > size - start or length > MAX_COMMIT_OCTETS << 8:
            return
        payload = file.read(length) if kind == COMMIT and length <= MAX_COMMIT_OCTETS else b""
        header = zlib_ng.crc32(_HEADER.pack(magic, kind, rows, length, 0))
        if kind != ROWS and zlib_ng.crc32(payload, header) != checksum:
            return
        yield kind, Frame(start, length, rows, header, checksum if kind == ROWS else None), payload
        offset = start + length + -length % ALIGNMENT


def _apply(result: Committed, payload: bytes) -> bool:
    """Take over a commit; False when its checked octets are still not ours."""
    try:
        commit = json.loads(payload)
        state = commit["state"]
        options_end, options_rows = int(commit["options_end"]), int(commit["options_rows"])
        times, options_times = (_times(commit[key]) for key in ("times", "options_times"))
        items = list(state.items())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    merge_state(result.state, dict(items))
    result.options_end, result.options_rows = options_end, options_rows
    result.times, result.options_times = times, options_times
    return True


def _times(pair: Any) -> tuple[int, int] | None:
    return None if pair is None else (int(pair[0]), int(pair[1]))


def merge_state(state: dict[str, Any], changes: dict[str, Any]) -> None:
    """Apply state changes in place: a value of None takes its key away."""
    for key, value in changes.items():
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def read_frames(path: Path, frames: list[Frame]) -> list[Rows]:
    """Read frames of rows; numbers stay in the mapped file.

    Raises
    ------
    DamagedFile
        A frame is not what its header says.
    OSError
        The file cannot be read.
    """
    if not frames:
        return []
    with pa.memory_map(str(path)) as mapped:
        try:
            return [_read_frame(mapped, frame) for frame in frames]
        except _FAULTS as error:
            raise DamagedFile(path, str(error)) from error


class MappedJournal:
    """A journal in memory, of which only what was read lately takes room.

    Parameters
    ----------
    path
        Of a file that is not empty.

    Raises
    ------
    OSError
        The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._octets = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._buffer = pa.py_buffer(self._octets)

    def read(self, frame: Frame) -> Rows:
        """Read a frame of rows; numbers stay in the mapped file.

        Raises
        ------
        DamagedFile
            The frame is not what its header says.
        """
        try:
            return _read_frame(pa.BufferReader(self._buffer), frame)
        except _FAULTS as error:
            raise DamagedFile(self.path, str(error)) from error

    def let_go(self) -> None:
        """Give memory back; rows that were read stay good, and fetch what is looked at again."""
        self._octets.madvise(mmap.MADV_DONTNEED)


def column_names(path: Path, frames: list[Frame]) -> set[str]:
    """Return the columns that vary in any of the frames; damaged frames have none."""
    names: set[str] = set()
    with pa.memory_map(str(path)) as mapped:
        for frame in frames:
            mapped.seek(frame.offset)
            try:
                payload = pa.BufferReader(mapped.read_buffer(frame.length))
                names.update(pa.ipc.read_schema(payload).names)
            except _FAULTS:
                continue
    return names


def _read_frame(mapped: Any, frame: Frame) -> Rows:
    mapped.seek(frame.offset)
    payload = mapped.read_buffer(frame.length)
    if payload.size != frame.length:
        raise ValueError(f"frame of {frame.length} octets, {payload.size} left")
    if frame.checksum is not None and zlib_ng.crc32(payload, frame.header) != frame.checksum:
        raise ValueError("the checksum of a frame is wrong")
    with pa.ipc.open_stream(pa.BufferReader(payload)) as stream:
        metadata = stream.schema.metadata or {}
        rows = Rows(int(metadata[b"rows"]), constants=_constants(metadata[b"constants"]))
        if rows.n_rows != frame.rows:
            raise ValueError(f"frame of {frame.rows} rows says {rows.n_rows}")
        if len(stream.schema):
            batch = stream.read_next_batch()
            batch.validate(full=True)
            if batch.num_rows != rows.n_rows:
                raise ValueError(f"batch of {batch.num_rows} rows, {rows.n_rows} expected")
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if name not in COLUMN and not name.startswith(OCTETS_PREFIX):
                    continue  # Of a plugin that is gone.
                if column.type != arrow_type(name):
                    raise ValueError(f"column {name} is {column.type}, not {arrow_type(name)}")
                rows.arrays[name] = column
    return rows


def _constants(octets: bytes) -> dict[str, Any]:
    saved = dict(json.loads(octets))
    # A name that is none of a column is of a plugin that is gone.
    constants = {name: value for name, value in saved.items() if name in COLUMN}
    for name, value in constants.items():
        dtype = COLUMN[name].dtype
        expected = {"O": str, "f": float}.get(dtype.kind, int)
        if type(value) is not expected:
            raise ValueError(f"constant {name} is {value!r}, not of type {expected.__name__}")
        if expected is int:
            dtype.type(value)
    return constants
