"""The dimensions of roll-ups as they are stored."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Dimension(IntEnum):
    """What the names of rows are."""

    TOTAL = 0
    PROTOCOL = 1
    APPLICATION = 2
    SOURCE = 3
    DESTINATION = 4
    PORT = 5
    INGRESS_INTERFACE = 6
    EGRESS_INTERFACE = 7
    AS_PAIR = 8


EXACT = (Dimension.TOTAL, Dimension.PROTOCOL, Dimension.APPLICATION)
OF_PLUGINS = range(32, 128)
"""Numbers for sums by columns of plugins; see `plugin_sums`."""

CAPPED = (Dimension.INGRESS_INTERFACE, Dimension.EGRESS_INTERFACE, Dimension.AS_PAIR)
"""Exact as well, of hours, days and months; see `capped_sums`."""


class SummedColumns(NamedTuple):
    """Columns of the log that capped sums are by: one, or both sides of a flow.

    Attributes
    ----------
    most
        So many values or pairs have rows in a month.
    since
        From when on there are sums, the start of an hour; 0 for always.
    """

    dimension: int
    columns: tuple[str, ...]
    most: int
    since: int = 0


LARGEST_ONLY = (Dimension.SOURCE, Dimension.DESTINATION, Dimension.PORT)
ALL_EXPORTERS = 0
DIRECTIONS = (0, 1)
