"""The dimensions of roll-ups as they are stored."""

from __future__ import annotations

from enum import IntEnum


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
CAPPED = (Dimension.INGRESS_INTERFACE, Dimension.EGRESS_INTERFACE, Dimension.AS_PAIR)
"""Exact as well, of hours, days and months; see `capped_sums`."""

LARGEST_ONLY = (Dimension.SOURCE, Dimension.DESTINATION, Dimension.PORT)
ALL_EXPORTERS = 0
DIRECTIONS = (0, 1)
