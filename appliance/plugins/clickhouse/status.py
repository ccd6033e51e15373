"""What the writer tells other processes: a file that `/metrics` and `appliance check` read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from appliance.atomic_files import atomic_write
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

FILE = "status.json"
NUMBERS = (
    "rows",
    "batches",
    "rows_lost",
    "errors",
    "newest_row",
    "written_at",
    "failing_since",
)
"""Counts since the file was begun; times in seconds, 0 for none."""

_LONGEST_FILE = 65_536
_LONGEST_TEXT = 500


class WriterStatus:
    """Counts what is written, and remembers the last problem."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._numbers: dict[str, float] | None = None

    def written(self, now: float, rows: int, newest_row: int) -> None:
        """Count a batch; `newest_row`: when its last row was received, 0 if that is not known."""
        numbers = self._read()
        numbers["rows"] += rows
        numbers["batches"] += 1
        numbers["newest_row"] = newest_row or numbers["newest_row"]
        self._good(now)

    def idle(self, now: float) -> None:
        """Remember that all is written."""
        if self._read()["failing_since"]:
            self._good(now)

    def lost(self, rows: int) -> None:
        """Count rows that may be missing."""
        self._read()["rows_lost"] += rows

    def failed(self, now: float, text: str) -> None:
        """Count an error."""
        numbers = self._read()
        numbers["errors"] += 1
        numbers["failing_since"] = numbers["failing_since"] or now
        self._write(text[:_LONGEST_TEXT])

    def _good(self, now: float) -> None:
        self._read().update(written_at=now, failing_since=0)
        self._write("")

    def _read(self) -> dict[str, float]:
        if self._numbers is None:
            self._numbers, _ = read_status(self.path.parent) or (dict.fromkeys(NUMBERS, 0.0), "")
        return self._numbers

    def _write(self, problem: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.path) as file:
                file.write(json.dumps({**self._read(), "problem": problem}).encode())
        except OSError as error:
            log.warning("%s cannot be written: %s", self.path, error)


def read_status(folder: Path) -> tuple[dict[str, float], str] | None:
    """Return the numbers by their names, and the problem; None where there is no such file."""
    try:
        with (folder / FILE).open("rb") as file:
            content = json.loads(file.read(_LONGEST_FILE))
        numbers = {name: float(content[name]) for name in NUMBERS}
        return numbers, str(content["problem"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
