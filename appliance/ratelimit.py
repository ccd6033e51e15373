"""Log lines that repeat, or that a datagram can cause: one a minute, which says how many it stands
for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_INTERVAL_SECONDS = 60.0
_MAX_MESSAGES = 256


def _monotonic() -> float:
    return time.monotonic()


class RateLimited:
    """Writes each message (by its format) at most once a minute.

    Attributes
    ----------
    limit
        Different messages of a minute that are told apart; more are not written.
    """

    limit = _MAX_MESSAGES

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = _monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._last: dict[tuple[str, ...], float] = {}
        self._muted: dict[tuple[str, ...], int] = {}

    def info(self, message: str, *facts: object) -> None:
        """Write at level info."""
        self._write(logging.INFO, message, facts, with_trace=False)

    def warning(self, message: str, *facts: object) -> None:
        """Write at level warning."""
        self._write(logging.WARNING, message, facts, with_trace=False)

    def error(self, message: str, *facts: object) -> None:
        """Write at level error."""
        self._write(logging.ERROR, message, facts, with_trace=False)

    def exception(self, message: str, *facts: object) -> None:
        """Write at level error, with the traceback of the exception being handled."""
        self._write(logging.ERROR, message, facts, with_trace=True)

    def _write(
        self, level: int, message: str, facts: tuple[object, ...], *, with_trace: bool
    ) -> None:
        # What varies from datagram to datagram comes last and does not tell messages apart.
        key, now = (message, *map(str, facts[:1])), self._clock()
        last = self._last.get(key)
        if last is None and len(self._last) >= self.limit:
            self._forget_old(now)
            if len(self._last) >= self.limit:
                return
        if last is not None and now - last < _INTERVAL_SECONDS:
            self._muted[key] = self._muted.get(key, 0) + 1
            return
        self._last[key] = now
        muted = self._muted.pop(key, 0)
        if muted:
            message, facts = f"{message} (and %d times before)", (*facts, muted)
        self._logger.log(level, message, *facts, exc_info=with_trace)

    def _forget_old(self, now: float) -> None:
        for key, last in list(self._last.items()):
            if now - last >= _INTERVAL_SECONDS:
                del self._last[key]
                self._muted.pop(key, None)
