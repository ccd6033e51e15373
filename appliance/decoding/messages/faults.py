"""The one error that decoding raises, and faults: what a sender did wrong, by fixed words.

A decoder that raises anything else on octets from the network has a bug. Whole blocks are decoded
at once, so most faults are returned as counts by reason, not raised.
"""

from __future__ import annotations

from typing import NamedTuple


class MalformedMessage(Exception):  # noqa: N818 - the name says what it is about
    """Octets that no reading of the protocol allows.

    Attributes
    ----------
    reason
        One of a fixed set of words, used as the label of a counter.
    detail
        What was expected and what was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class Fault(NamedTuple):
    """What a sender did wrong: the datagram's row, a fixed word for the counter, the facts."""

    datagram: int
    reason: str
    detail: str
