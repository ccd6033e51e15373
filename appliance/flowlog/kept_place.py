"""How far a destination is that cannot keep that itself: a place in the flow log, in a file.

For loaders that send flows on. Of two processes that follow one log to one destination the second
waits. The place is written when the destination has everything before it: whatever is killed when,
flows come again and none is left out.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog.limits import Cursor
from appliance.flowlog.reader import FlowLogReader

PLACE_FILE = "position.json"
_LONGEST_FILE = 4096


class KeptPlace:
    """The place of one destination.

    Parameters
    ----------
    folder
        Of this destination alone.
    destination
        What the place is of, such as `{"topic": "flows"}`; a place of another one does not count.
    name
        Of the destination, for messages.
    from_newest
        Whether a destination that is new begins behind the newest flow, not with the oldest.

    Attributes
    ----------
    cursor
        The place; None before `hold`.
    n_rows
        How many flows the destination got, also in former processes.
    """

    def __init__(
        self,
        folder: Path,
        reader: FlowLogReader,
        destination: Mapping[str, str],
        name: str,
        *,
        from_newest: bool = False,
    ) -> None:
        self.reader = reader
        self._folder, self._name = folder, name
        self._destination, self._from_newest = dict(destination), from_newest
        self._lock = -1
        self.cursor: Cursor | None = None
        self.n_rows = 0

    def hold(self, report: LoadReport) -> Cursor:
        """Take the lock and read the place, unless this process has both.

        Raises
        ------
        StorageError
            Another process has the lock, or the folder cannot be used.
        """
        if self.cursor is not None:
            return self.cursor
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._lock < 0:
                self._lock = _locked(self._folder / "lock")
            cursor = self._stored(report)
        except BlockingIOError as error:
            text = f"another process publishes this flow log to {self._name}"
            raise StorageError(text) from error
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be read: {error.strerror}") from error
        if self._from_newest and not (self._folder / PLACE_FILE).exists():
            # What comes until the first flow is sent is not to be left out after a crash.
            self.keep(cursor)
        self.cursor = cursor
        return cursor

    def keep(self, cursor: Cursor, n_rows: int = 0) -> None:
        """Write a place down, and that the destination got so many flows more.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        content = {
            **self._destination,
            "segment": cursor.segment,
            "row": cursor.row,
            "rows": self.n_rows + n_rows,
        }
        try:
            with atomic_write(self._folder / PLACE_FILE, durable=True) as file:
                file.write(json.dumps(content).encode())
        except OSError as error:
            self.cursor = None
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error
        self.cursor, self.n_rows = cursor, self.n_rows + n_rows

    def close(self) -> None:
        """Let another process have it."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self.cursor = -1, None

    def _stored(self, report: LoadReport) -> Cursor:
        """Return the place in the file; another one where it is of something else."""
        newest = max((span.segment for span in self.reader.spans()), default=0)
        content = read_place(self._folder)
        if content is None:
            return self._first()
        place, self.n_rows = Cursor(content["segment"], content["row"]), content["rows"]
        is_same = all(content.get(key) == value for key, value in self._destination.items())
        if not is_same or place.segment > newest + 1:
            text = f"{self._name}: another {next(iter(self._destination))} or flow log"
            report.warnings.append(f"{text}: going on at its beginning")
            return Cursor()
        return place

    def _first(self) -> Cursor:
        """Return where a destination begins that is new, or whose file cannot be read."""
        is_new = not (self._folder / PLACE_FILE).exists()
        newest = max(self.reader.spans(), default=None) if self._from_newest and is_new else None
        return Cursor() if newest is None else Cursor(newest.segment, newest.first + newest.n_rows)


def read_place(folder: Path) -> dict[str, Any] | None:
    """Return what a destination's file holds; None where there is none, or it cannot be read."""
    try:
        with (folder / PLACE_FILE).open("rb") as file:
            content = json.loads(file.read(_LONGEST_FILE))
        numbers = {name: int(content.get(name, 0)) for name in ("segment", "row", "rows")}
    except (FileNotFoundError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return {**content, **numbers} if min(numbers.values()) >= 0 else None


def _locked(path: Path) -> int:
    """Return the descriptor of a file that nobody else has locked.

    Raises
    ------
    BlockingIOError
        Somebody has.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(lock)
        raise
    return lock
