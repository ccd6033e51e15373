"""File names of the flow log, and which of the files on disk count.

    flows/0000000072.open                                                    journal being written
    flows/0000000071.journal                                                 closed journal
    flows/0000000012-0000000070.1763764200123-1763767799999.parquet          sealed or merged
    flows/0000000011-0000000011.1763764100000-1763764159999.parquet.damaged  set aside

`options/` has the same. Numbers are segments; a sealed file states the range that it replaces and
the first and last collection time in it, so that neither needs its footer. A file is written beside
as `.tmp` and renamed, then what it covers is deleted: whoever reads skips what a larger range
covers.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

FAMILIES = ("flows", "options")
DAMAGED = ".damaged"
FIRST_SEGMENT = 1

_NAME = re.compile(
    r"(?P<first>\d{10})(?:\.(?P<journal>open|journal)"
    r"|-(?P<last>\d{10})\.(?P<from>\d{1,15})-(?P<to>\d{1,15})\.parquet)",
    re.ASCII,
)
_NUMBER = re.compile(r"(\d{10})(?:-(\d{10}))?\.", re.ASCII)
LISTING_TRIES = 20


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log as its name describes it.

    Attributes
    ----------
    kind
        "open", "journal" or "parquet".
    first, last
        Segments that it holds, inclusive.
    from_ms, to_ms
        First and last collection time; a journal's are not known from its name: 0 and a far future.
    """

    path: Path
    kind: str
    first: int
    last: int
    from_ms: int = 0
    to_ms: int = 10**15

    def overlaps(self, since_ms: int, until_ms: int) -> bool:
        """Tell whether it may hold records of a range of collection times, half open."""
        return self.from_ms < until_ms and self.to_ms >= since_ms

    def covers(self, other: LogFile) -> bool:
        """Tell whether this file replaces the other."""
        if self.kind != "parquet" or self is other:
            return False
        if not (self.first <= other.first and other.last <= self.last):
            return False
        return other.kind != "parquet" or self.last - self.first > other.last - other.first


def family(options: bool) -> str:
    """Return the directory of a family."""
    return FAMILIES[options]


def journal_path(directory: Path, options: bool, segment: int, kind: str) -> Path:
    """Return the path of a journal; `kind` is "open" or "journal"."""
    return directory / family(options) / f"{segment:010}.{kind}"


def sealed_name(first: int, last: int, from_ms: int, to_ms: int) -> str:
    """Return the name of a sealed or merged file; times outside the range of the name are
    clipped."""
    low, high = (min(max(time, 0), 10**15 - 1) for time in (from_ms, to_ms))
    return f"{first:010}-{last:010}.{low}-{high}.parquet"


def parse(path: Path) -> LogFile | None:
    """Read a file name; None when it is none of the log's."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    first = int(match["first"])
    if match["journal"]:
        return LogFile(path, match["journal"], first, first)
    last = int(match["last"])
    if last < first:
        return None
    return LogFile(path, "parquet", first, last, int(match["from"]), int(match["to"]))


def list_files(directory: Path, options: bool) -> tuple[list[LogFile], list[LogFile]]:
    """List the files that count, in the order of their rows, and those that a larger range covers.

    Two listings in a row must agree: one alone can miss both a merged file that is just being
    renamed and the parts that are deleted after it.
    """
    folder = directory / family(options)
    names = _scan(folder)
    for _ in range(LISTING_TRIES):
        before, names = names, _scan(folder)
        if names == before:
            break
    found = [file for name in names if (file := parse(folder / name))]
    return split_covered(found)


def split_covered(files: list[LogFile]) -> tuple[list[LogFile], list[LogFile]]:
    """Part files into those that count and those that another covers; both sorted by number."""
    live: list[LogFile] = []
    covered: list[LogFile] = []
    widest: LogFile | None = None
    order = {"parquet": 0, "journal": 1, "open": 2}
    for file in sorted(files, key=lambda f: (f.first, -f.last, order[f.kind], f.path.name)):
        if widest is not None and (widest.covers(file) or file.last <= widest.last):
            covered.append(file)
        else:
            live.append(file)
            widest = file
    return live, covered


def highest_number(directory: Path) -> int:
    """Return the highest segment number that any file name holds, damaged ones included; 0 when
    none."""
    highest = 0
    for name in FAMILIES:
        for entry in _scan(directory / name):
            if match := _NUMBER.match(entry):
                highest = max(highest, *(int(number) for number in match.groups() if number))
    return highest


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nobody reads it again; return its new path."""
    aside = path.with_name(path.name + DAMAGED)
    os.replace(path, aside)
    return aside


def _scan(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()
