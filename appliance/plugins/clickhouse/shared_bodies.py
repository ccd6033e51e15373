"""What collectors tell each other by ClickHouse: a body of JSON each, in a table, and two files.

The collector writes its own file and reads that of others; its loader passes them on
(`collector_exchange`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.plugins.clickhouse.schema import APPLICATIONS, SAMPLING, TEMPLATES
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

MAX_COLLECTORS = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SharedBody:
    """One kind of what is shared.

    Attributes
    ----------
    table
        In ClickHouse; the files are called after it.
    most_octets
        The largest body of one collector.
    is_borrowed
        Whether collectors read those of others; else only answers do.
    """

    table: str
    most_octets: int
    is_borrowed: bool = True

    @property
    def own_file(self) -> str:
        """The file with the own body."""
        return f"{self.table}.json"

    @property
    def others_file(self) -> str:
        """The file with the bodies of others, by collector."""
        return f"{self.table}-of-others.json"


TEMPLATE_BODY = SharedBody(TEMPLATES, 16_000_000)
"""A template of 25 fields takes 400 octets."""

SAMPLING_BODY = SharedBody(SAMPLING, 1_000_000)
"""A rate takes 20 to 30 octets."""

APPLICATION_BODY = SharedBody(APPLICATIONS, 16_000_000, is_borrowed=False)
"""A name takes 30 to 50 octets."""

BODIES = (TEMPLATE_BODY, SAMPLING_BODY, APPLICATION_BODY)


class BodyFiles:
    """The own file and that of others, of one kind.

    Parameters
    ----------
    folder
        What the writer keeps beside the flow log.
    """

    def __init__(self, folder: Path, kind: SharedBody) -> None:
        self._folder, self.kind = folder, kind
        self._seen: tuple[int, int] | None = None

    def write(self, body: str) -> None:
        """Write what the loader passes on.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / self.kind.own_file) as file:
                file.write(body.encode())
        except OSError as error:
            raise StorageError(f"{self.kind.table} cannot be shared: {error}") from error

    def read_others(self, pieces_of: Callable[[str], list[T]]) -> list[T] | None:
        """Return what is in the bodies that the loader last got of others; None: as before.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        path = self._folder / self.kind.others_file
        try:
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp == self._seen:
                return None
            if stat.st_size > self.kind.most_octets * MAX_COLLECTORS:
                raise StorageError(f"{path}: larger than what collectors share")
            self._seen = stamp
            bodies = json.loads(path.read_text(encoding="utf-8"))
            return [each for body in bodies.values() for each in pieces_of(body)]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise StorageError(f"{path}: {error}") from error


def joined_body(pieces: Iterable[object], kind: SharedBody) -> str:
    """Return pieces as a list in JSON: the first ones where all of them are too many."""
    texts, size, left_out = [], 2, 0
    for piece in pieces:
        text = json.dumps(piece, separators=(",", ":"))
        size += len(text) + 1
        if size > kind.most_octets:
            left_out += 1
        else:
            texts.append(text)
    if left_out:
        log.warning(
            "%s for other collectors: more than %d octets, %d entries left out",
            *(kind.table, kind.most_octets, left_out),
        )
    return f"[{','.join(texts)}]"


def pieces_of_body(body: str, kind: SharedBody) -> Iterator[Any]:
    """Yield the pieces of a body, which is read as untrusted; of another thing none."""
    if len(body) > kind.most_octets:
        return
    try:
        pieces = json.loads(body)
    except (ValueError, RecursionError):
        return
    yield from pieces if isinstance(pieces, list) else []
