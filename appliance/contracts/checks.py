"""A line of `appliance check`, and what makes some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OK, HINT, FAIL = "ok", "hint", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and how it is.

    Attributes
    ----------
    status
        `OK`; `HINT` for what should be better; `FAIL` for what keeps collector or API from working.
    what
        The thing, in a word or two.
    text
        How it is and, unless it is ok, what to do.
    """

    status: str
    what: str
    text: str


Check = Callable[[], list[Finding]]
"""Looks at something and changes nothing. An ApplianceError that it raises is a line that fails."""
