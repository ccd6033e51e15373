"""Where the samples of datagrams lie, and the records of samples: both are counted lists of pieces
with a format and a length.

All lists of a block are walked in step, first all first pieces, then all second ones; no loop runs
over datagrams. Everything of sFlow is a multiple of four octets (XDR, RFC 4506), so places and
lengths are counted in words of four.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.faults import Fault

Int = NDArray[np.int64]
Words = NDArray[np.uint32]

PIECE_HEADER = 2
MOST_PIECES = 512
"""Samples of a datagram, or records of a sample; one with more ends there with a fault."""


_CUT = "a sample or record is longer than what is there of it"
_TOO_MANY = f"more than {MOST_PIECES} samples or records together"


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of some lists; arrays of shape (n,), int64.

    Attributes
    ----------
    owner
        Row of the list that a piece is in, in ascending order.
    formats
        Enterprise (20 bits) and format (12 bits).
    start, length
        Where its body begins, and how many words it has.
    faults
        By row of the list: those that are not what they announce.
    """

    owner: Int
    formats: Int
    start: Int
    length: Int
    faults: list[Fault]

    def take(self, chosen: NDArray[np.bool_]) -> Pieces:
        """Return some of the pieces."""
        owner, formats = self.owner[chosen], self.formats[chosen]
        return Pieces(owner, formats, self.start[chosen], self.length[chosen], self.faults)


def walk(words: Words, start: Int, end: Int, announced: Int) -> Pieces:
    """Find the pieces of lists.

    Parameters
    ----------
    words
        Native byte order, one dimension.
    start, end
        shape (n,): where each list begins and where it must end.
    announced
        shape (n,): how many pieces each list says it has.

    Notes
    -----
    A piece that goes beyond the end of its list is a fault and ends it, so does a list that ends
    early; the pieces before are good.
    """
    rows = np.flatnonzero(announced > 0)
    at = start[rows]
    steps: list[tuple[Int, Int, Int, Int]] = []
    faults: list[Fault] = []
    while len(rows):
        if len(steps) == MOST_PIECES:
            faults += [Fault(row, "sflow_too_many", _TOO_MANY) for row in rows.tolist()]
            break
        has_header = at + PIECE_HEADER <= end[rows]
        place = np.where(has_header, at, 0)
        length = -(-words[np.minimum(place + 1, len(words) - 1)].astype(np.int64) // 4)
        sound = has_header & (at + PIECE_HEADER + length <= end[rows])
        faults += [Fault(row, "sflow_cut", _CUT) for row in rows[~sound].tolist()]
        rows, at, length = rows[sound], at[sound], length[sound]
        steps.append((rows, words[at].astype(np.int64), at + PIECE_HEADER, length))
        more = announced[rows] > len(steps)
        rows, at = rows[more], (at + PIECE_HEADER + length)[more]
    if not steps:
        none = np.zeros(0, np.int64)
        return Pieces(none, none, none, none, faults)
    found = [np.concatenate(arrays) for arrays in zip(*steps, strict=True)]
    order = np.argsort(found[0], kind="stable")
    owner, formats, begin, length = (array[order] for array in found)
    return Pieces(owner, formats, begin, length, faults)
