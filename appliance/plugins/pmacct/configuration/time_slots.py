"""How long the time bins of tables are: `sql_history`, `sql_history_offset` and the letters of
`sql_history_roundoff`. Where bins begin is left to the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MONTH = "M"
ROUNDOFFS = "mhdwM"
_HISTORY = re.compile(r"\s*([0-9]+)\s*([A-Za-z]?)")


@dataclass(frozen=True, slots=True)
class History:
    """How long a bin is: `count` units of s, m, h, d, w or M.

    Attributes
    ----------
    offset
        So many seconds bins begin before whole ones.
    """

    count: int
    unit: str
    offset: int = 0

    @property
    def seconds(self) -> int:
        """Return the length, of months the shortest."""
        return self.count * (28 * 86400 if self.unit == MONTH else SECONDS[self.unit])


def parse_history(text: str, offset: int = 0) -> tuple[History | None, str | None]:
    """Read `sql_history`, with the value of `sql_history_offset`.

    Returns
    -------
    tuple
        The length of bins, None for no history; nfacctd's words when the unit is not known.
    """
    match = _HISTORY.match(text)
    if match is None or int(match[1]) == 0:
        return None, None
    unit = match[2] or "s"
    if unit not in SECONDS and unit != MONTH:
        return None, f"Ignoring unknown time measuring unit: '{unit}'."
    return History(int(match[1]), unit, offset), None


def unknown_roundoffs(text: str) -> list[str]:
    """Return the letters of `sql_history_roundoff` that mean nothing."""
    return [letter for letter in text if letter not in ROUNDOFFS]
