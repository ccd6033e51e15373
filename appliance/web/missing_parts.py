"""What did not answer a request, and the header that says so.

The published APIs have no place in their bodies for "a part is missing", so a header tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.contracts import Answer, Selection

HEADER = "X-Partial"
DESCRIPTION = (
    "Only where a part of the database does not answer: its names, such as those of shards. What"
    " only it has is left out, so that every figure may be too low"
)


class MissingParts:
    """Names of parts, such as the shards of a database, each once."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.names)

    def note(self, names: Sequence[str]) -> None:
        """Take names in."""
        self.names += [name for name in dict.fromkeys(names) if name not in self.names]

    def left_out_of(self, selection: Selection) -> Selection:
        """Return a selection that is answered without what is missing, which is noted here."""
        return replace(selection, on_missing=self.note)

    def told_in(self, answer: Answer) -> Answer:
        """Return an answer with the header that says what is missing, if anything is."""
        if not self.names:
            return answer
        # Host names of another letter than ASCII cannot stand in a header.
        text = "; ".join(self.names).encode("ascii", "backslashreplace").decode()
        return replace(answer, headers={**answer.headers, HEADER: text})
