"""How moments are written: `timestamps_since_epoch`, `timestamps_utc` and `timestamps_rfc3339`.

As in nfacctd 1.7.7 seconds since 1970 go before RFC 3339, of which SQL tables take no notice, and
time bins stay those of the machine's time zone. A MySQL server writes moments in the time zone of
its own session, whatever the machine's is (`FROM_UNIXTIME`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_PLAIN, _RFC3339 = "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"
_SECONDS_END = 19
"""Where the fraction stands in a text: behind the second and before the zone."""


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How one plugin writes moments.

    Attributes
    ----------
    epoch
        As seconds since 1970, whatever else is asked for.
    utc
        In UTC, not in the machine's time zone.
    rfc3339
        With a T, and the zone behind.
    by_server
        Moments are handed over as seconds since 1970, and the server makes texts of them.
    """

    epoch: bool = False
    utc: bool = False
    rfc3339: bool = False
    by_server: bool = False

    @property
    def numbers(self) -> bool:
        """Whether moments are handed over as numbers."""
        return self.epoch or self.by_server

    def calendar_time(self, second: int) -> time.struct_time:
        """Return a moment as the calendar has it."""
        return time.gmtime(second) if self.utc else time.localtime(second)

    def write(self, second: int) -> str | int:
        """Write a moment: seconds since 1970 as they are, or text."""
        if self.numbers:
            return second
        moment = self.calendar_time(second)
        if not self.rfc3339:
            return time.strftime(_PLAIN, moment)
        zone = "Z" if self.utc else time.strftime("%z", moment)
        return time.strftime(_RFC3339, moment) + (zone if self.utc else f"{zone[:3]}:{zone[3:]}")


def with_fraction(written: str | int, microseconds: int) -> str:
    """Put the fraction of a second into a moment that is written."""
    text = str(written)
    return f"{text[:_SECONDS_END]}.{microseconds:06}{text[_SECONDS_END:]}"
