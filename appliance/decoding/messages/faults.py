"""The one error at the border of the wire, and the fixed words that say what was wrong.

A decoder that raises anything else on octets from the network has a bug. Whole blocks are decoded
at once, so most faults are returned as counts by reason, not raised.
"""

from __future__ import annotations


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
