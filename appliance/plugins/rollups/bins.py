"""Bins of time: their sizes, where they begin, and how a range is made of few of them.

All times are whole seconds since 1970, UTC; a day is a day of UTC, a month one of its calendar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple


class Size(IntEnum):
    """Sizes of bins, as they are stored; a larger one is made of whole smaller ones."""

    MINUTE = 0
    QUARTER = 1
    HOUR = 2
    DAY = 3
    MONTH = 4


SECONDS = {Size.MINUTE: 60, Size.QUARTER: 900, Size.HOUR: 3600, Size.DAY: 86400}
FIRST, LAST = 0, 253_370_764_800
"""No flow is before 1970 or after the year 9998, whatever a clock says."""


class Span(NamedTuple):
    """Neighbouring bins of one size: from the first one's start up to the end of the last."""

    size: Size
    since: int
    until: int


def bin_start(size: Size, moment: int) -> int:
    """Return the start of the bin that holds a moment."""
    if size is not Size.MONTH:
        return moment - moment % SECONDS[size]
    day = datetime.fromtimestamp(moment, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())


def bin_end(size: Size, start: int) -> int:
    """Return the end of the bin that begins at `start`."""
    if size is not Size.MONTH:
        return start + SECONDS[size]
    return bin_start(size, start + 32 * 86400)


def bin_ceiling(size: Size, moment: int) -> int:
    """Return the first start of a bin that is not before a moment."""
    start = bin_start(size, moment)
    return start if start == moment else bin_end(size, start)


def spans(
    since: int,
    until: int,
    kept_from: Mapping[Size, int],
    whole: Callable[[Size, int], bool] = lambda _size, _start: True,
) -> list[Span]:
    """Make a range of few bins, large ones first.

    Parameters
    ----------
    kept_from
        The sizes to use, each with the start of its oldest bin.
    whole
        Tells whether a bin of a size above the smallest is there as a whole.

    Returns
    -------
    list
        In the order of time. The first span begins at the start of the smallest bin that holds
        `since`, the last one ends at the end of the smallest that holds the end.
    """
    ascending = sorted(kept_from)
    found: list[Span] = []
    moment = bin_start(smallest_kept(ascending, kept_from, since), since)
    while moment < until:
        smallest = smallest_kept(ascending, kept_from, moment)
        size, end = smallest, bin_end(smallest, bin_start(smallest, moment))
        for larger in reversed(ascending[ascending.index(smallest) + 1 :]):
            fits = bin_start(larger, moment) == moment and bin_end(larger, moment) <= until
            if fits and whole(larger, moment):
                size, end = larger, bin_end(larger, moment)
                break
        if found and found[-1].size == size and found[-1].until == moment:
            found[-1] = Span(size, found[-1].since, end)
        else:
            found.append(Span(size, moment, end))
        moment = end
    return found


def smallest_kept(ascending: list[Size], kept_from: Mapping[Size, int], moment: int) -> Size:
    """Return the smallest size whose bins reach back to a moment."""
    reaching = (size for size in ascending if kept_from[size] <= moment)
    return next(reaching, ascending[-1])
