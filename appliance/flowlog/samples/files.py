"""The files of samples: one an hour, a day and a month, Parquet with the flow log's columns.

    samples/hour.1763766000000.parquet     by the start of the period, milliseconds UTC
    samples/day.1763683200000.parquet
    samples/month.1761955200000.parquet
    samples/state.json                     how far the log was read, and the seed

Each row has `sample_weight`, for how many flows like it it stands; `sample_priority` and
`sample_threshold` are what it was drawn by.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import Cursor
from appliance.flowlog.names import set_aside
from appliance.flows import COLLECTION_TIME

STATE_FILE = "state.json"

Level = Literal["hour", "day", "month"]
LEVELS: tuple[Level, ...] = ("hour", "day", "month")

WEIGHT, PRIORITY, THRESHOLD = "sample_weight", "sample_priority", "sample_threshold"
DRAWN_COLUMNS = (WEIGHT, PRIORITY, THRESHOLD)

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_NAME = re.compile(r"(?P<level>hour|day|month)\.(?P<start>\d{1,15})\.parquet", re.ASCII)
_METADATA = b"appliance.sample"
MODE = 0o640
_WIDE = (pa.uint64(), pa.int64(), pa.float64())


@dataclass(frozen=True, slots=True)
class SampleFile:
    """The sample of one period.

    Attributes
    ----------
    from_ms, to_ms
        The period, half open, milliseconds UTC.
    """

    path: Path
    level: Level
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class SamplePiece:
    """What is read of a sample: flows received in a part of its period, milliseconds UTC.

    Attributes
    ----------
    thinning
        So many times the thresholds that it was drawn by are those that its rows must exceed.
    """

    file: SampleFile
    from_ms: int
    to_ms: int
    thinning: float = 1.0


@dataclass(frozen=True, slots=True)
class Described:
    """What a sample says of itself.

    Attributes
    ----------
    n_flows
        Records that it was drawn from.
    cursor
        How far in the log those of its period are in it.
    n_rows
        Records that it has.
    threshold
        The largest that one was drawn by; 0 where all were kept.
    is_growing
        Whether it was written as one that will soon be written again: in half of the time, and
        half as large again on disk.
    """

    n_flows: int
    cursor: Cursor
    n_rows: int = 0
    threshold: float = 0.0
    is_growing: bool = False


def sample_path(folder: Path, level: Level, start_ms: int) -> Path:
    """Return the path of a sample."""
    return folder / f"{level}.{start_ms}.parquet"


def is_sample_name(name: str) -> bool:
    """Tell whether a file of that name is a sample."""
    return _NAME.fullmatch(name) is not None


def list_samples(folder: Path) -> list[SampleFile]:
    """Return every sample, by the start of its period."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"samples in {folder} cannot be read: {error}") from error
    found = []
    for match in filter(None, map(_NAME.fullmatch, names)):
        level: Level = match["level"]  # type: ignore[assignment]
        start = int(match["start"])
        found.append(SampleFile(folder / match[0], level, start, period_end(level, start)))
    return sorted(found, key=lambda file: file.from_ms)


def period_start(level: Level, time_ms: int) -> int:
    """Return the start of the hour, day or month (UTC) that a time is in."""
    if level != "month":
        length = HOUR_MS if level == "hour" else DAY_MS
        return time_ms // length * length
    when = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return int(datetime.datetime(when.year, when.month, 1, tzinfo=datetime.UTC).timestamp()) * 1000


def period_end(level: Level, start_ms: int) -> int:
    """Return the end of the period that begins then."""
    if level != "month":
        return start_ms + (HOUR_MS if level == "hour" else DAY_MS)
    return period_start("month", start_ms + 32 * DAY_MS)


def metadata_of(described: Described) -> dict[bytes, bytes]:
    """Return the metadata of a sample's schema."""
    fields = {"flows": described.n_flows, "cursor": list(described.cursor)}
    growing = {"growing": True} if described.is_growing else {}
    return {_METADATA: json.dumps(fields | growing).encode()}


def write_sample(path: Path, table: Any, described: Described) -> None:
    """Write a sample, or put it in the place of the one that is there.

    Raises
    ------
    OSError
        The disk is full or failing.
    """
    options = {"compression": "zstd"}
    if described.is_growing:
        options = _quick(table)
    elif COLLECTION_TIME in table.schema.names:
        table = table.sort_by(COLLECTION_TIME)
    with atomic_write(path, MODE, durable=True) as file:
        pq.write_table(table.replace_schema_metadata(metadata_of(described)), file, **options)


def _quick(table: Any) -> dict[str, Any]:
    """Return options for writing without dictionaries, which take most of the time."""
    wide = [each.name for each in table.schema if each.type in _WIDE]
    return {"compression": "lz4", "use_dictionary": False, "use_byte_stream_split": wide}


def read_sample(path: Path, columns: list[str] | None = None) -> tuple[Any, Described]:
    """Return rows of a sample as a pyarrow table, and what it says of itself.

    Raises
    ------
    DamagedFile
        It is; it is set aside.
    OSError
        It cannot be read.
    """
    with _damage_set_aside(path):
        file = pq.ParquetFile(path)
        present = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
        return file.read(present), _description(file)


def read_description(path: Path) -> Described:
    """Return what a sample says of itself; its rows are not read.

    Raises
    ------
    DamagedFile
        It is damaged; it is set aside.
    OSError
        It cannot be read.
    """
    with _damage_set_aside(path):
        return _description(pq.ParquetFile(path))


@contextmanager
def _damage_set_aside(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        # What pyarrow says of damaged octets is an OSError without a number.
        if getattr(error, "errno", None) is not None:
            raise
        set_aside(path)
        raise DamagedFile(path, str(error)) from error


def _description(file: pq.ParquetFile) -> Described:
    fields = json.loads((file.schema_arrow.metadata or {})[_METADATA])
    cursor = Cursor(*map(int, fields["cursor"]))
    return Described(
        int(fields["flows"]),
        cursor,
        file.metadata.num_rows,
        _largest_threshold(file),
        is_growing=fields.get("growing") is True,
    )


def _largest_threshold(file: pq.ParquetFile) -> float:
    """Return the largest threshold that the footer tells."""
    place = file.schema_arrow.names.index(THRESHOLD)
    groups = range(file.metadata.num_row_groups)
    known = [file.metadata.row_group(group).column(place).statistics for group in groups]
    return max((float(one.max) for one in known if one is not None and one.has_min_max), default=0)
