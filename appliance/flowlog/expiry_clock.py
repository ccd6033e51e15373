"""The clock by which files of the flow log expire: a leap ahead counts only when it lasts.

A machine whose clock leaps months ahead (a bad time server, an empty battery) would delete its
whole log in one run. So a clock that is suddenly more than a day ahead of where it should be, or
after a start of the newest file, is believed only after an hour. Meanwhile a file says so: other
processes read it, a restart goes on with it, and who knows that the clock is right deletes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from appliance.atomic_files import atomic_write

LEAP_MS = 86_400_000
BELIEVED_AFTER_SECONDS = 3600.0
LEAP_FILE = "clock-leap.json"

log = logging.getLogger(__name__)


class ClockLeap(NamedTuple):
    """A leap that is not believed yet: what the clock said, and should have said."""

    now_ms: float
    expected_ms: float

    @property
    def days(self) -> float:
        """How far the clock is ahead."""
        return (self.now_ms - self.expected_ms) / LEAP_MS


def read_leap(folder: Path) -> ClockLeap | None:
    """Return the leap that holds up the expiry of a flow log; None: there is none."""
    try:
        content = json.loads((folder / LEAP_FILE).read_bytes())
        return ClockLeap(float(content["now_ms"]), float(content["expected_ms"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


class ExpiryClock:
    """Compares the clock with the time that has passed.

    Parameters
    ----------
    folder
        Of the flow log, where a leap is noted.
    monotonic
        Seconds that never leap.
    """

    def __init__(self, folder: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._monotonic = folder, monotonic
        self._believed: tuple[float, float] | None = None
        self._leapt_at: float | None = None
        self._is_noted = False

    def is_believed(self, now_ms: int, newest_ms: int) -> bool:
        """Tell whether files may expire by this time.

        Parameters
        ----------
        newest_ms
            The time of the newest file, with which a start compares; 0: there is none.
        """
        at = self._monotonic()
        if self._believed is None:
            leap = read_leap(self._folder)
            self._believed = (leap.expected_ms if leap else float(newest_ms or now_ms), at)
        expected_ms = self._believed[0] + (at - self._believed[1]) * 1000
        if now_ms - expected_ms > LEAP_MS:
            if self._leapt_at is None:
                self._leapt_at = at
                self._note(ClockLeap(now_ms, expected_ms))
            is_confirmed = self._is_noted and not self._file.exists()
            if not is_confirmed and at - self._leapt_at < BELIEVED_AFTER_SECONDS:
                return False
        self._leapt_at, self._believed = None, (now_ms, at)
        self._forget()
        return True

    @property
    def _file(self) -> Path:
        return self._folder / LEAP_FILE

    def _note(self, leap: ClockLeap) -> None:
        log.warning(
            "the clock is %.1f days ahead of the flow log: nothing expires by age until it has"
            " been so for an hour, or %s is deleted",
            leap.days,
            self._file,
        )
        # On a full disk the hour has to pass.
        with contextlib.suppress(OSError), atomic_write(self._file) as file:
            file.write(json.dumps(leap._asdict()).encode())
        self._is_noted = self._file.exists()

    def _forget(self) -> None:
        self._is_noted = False
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
