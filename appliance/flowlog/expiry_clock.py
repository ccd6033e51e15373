"""The clock by which files of the flow log expire: a leap ahead counts only when it lasts.

A machine whose clock leaps months ahead (a bad time server, an empty battery) would delete its
whole log in one run. So a clock that is suddenly more than a day ahead of where it should be, or
after a start of the newest file, is believed only after an hour.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LEAP_MS = 86_400_000
BELIEVED_AFTER_SECONDS = 3600.0

log = logging.getLogger(__name__)


class ExpiryClock:
    """Compares the clock with the time that has passed.

    Parameters
    ----------
    monotonic
        Seconds that never leap.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._believed: tuple[float, float] | None = None
        self._leapt_at: float | None = None

    def is_believed(self, now_ms: int, newest_ms: int) -> bool:
        """Tell whether files may expire by this time.

        Parameters
        ----------
        newest_ms
            The time of the newest file, with which a start compares; 0: there is none.
        """
        at = self._monotonic()
        if self._believed is None:
            expected_ms = float(newest_ms or now_ms)
        else:
            expected_ms = self._believed[0] + (at - self._believed[1]) * 1000
        if now_ms - expected_ms <= LEAP_MS:
            self._leapt_at, self._believed = None, (now_ms, at)
            return True
        if self._leapt_at is None:
            self._leapt_at = at
            if self._believed is None:
                self._believed = (expected_ms, at)
            log.warning(
                "the clock is %.1f days ahead of the flow log: nothing expires by age until it has"
                " been so for an hour",
                (now_ms - expected_ms) / LEAP_MS,
            )
        if at - self._leapt_at < BELIEVED_AFTER_SECONDS:
            return False
        self._leapt_at, self._believed = None, (now_ms, at)
        return True
