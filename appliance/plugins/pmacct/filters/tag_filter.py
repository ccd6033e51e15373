"""Reads pmacct's filters of tags and labels (`pre_tag_filter: 10-19,-100`).

They decide which of the tagged rows a plugin takes. The entries are tried in their order, as
nfacctd 1.7.7 does: one that matches takes the row or, with a minus, leaves it out; a row that does
not match an entry with a minus is taken, and what no entry decides is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.pmacct.maps.pre_tag_map import LARGEST_TAG

NO_LABEL = "null"
_ENTRY = re.compile(r"(-?)([0-9]+)(?:-([0-9]+))?")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Entries of (minus, lowest, highest)."""

    entries: tuple[tuple[bool, int, int], ...]

    def mask(self, tags: NDArray[np.uint64]) -> Mask:
        """Return which rows it takes."""
        masks = [(tags >= np.uint64(a)) & (tags <= np.uint64(b)) for _, a, b in self.entries]
        return _decide([negated for negated, _, _ in self.entries], masks, len(tags))


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Entries of (minus, beginning of the label)."""

    entries: tuple[tuple[bool, str], ...]

    def mask(self, labels: NDArray[np.int64], texts: list[str]) -> Mask:
        """Return which rows it takes; `labels` numbers into `texts`."""
        masks = []
        for _, beginning in self.entries:
            fits = np.array([(text or NO_LABEL).startswith(beginning) for text in texts])
            masks.append(fits[labels])
        return _decide([negated for negated, _ in self.entries], masks, len(labels))


def read_tag_filter(text: str) -> TagFilter:
    """Read `pre_tag_filter` or `pre_tag2_filter`.

    Raises
    ------
    ValueError
        An entry is no tag, range of tags, or one of them with a minus.
    """
    entries = []
    for entry in "".join(text.split()).split(","):
        match = _ENTRY.fullmatch(entry)
        low = int(match[2]) if match else 0
        high = int(match[3] or low) if match else 0
        if match is None or high > LARGEST_TAG or low > high or match[3] == match[2]:
            raise ValueError(f"'{entry}' is no tag and no range of tags, such as 10, 10-19 or -100")
        entries.append((bool(match[1]), low, high))
    return TagFilter(tuple(entries))


def read_label_filter(text: str) -> LabelFilter:
    """Read `pre_tag_label_filter`.

    Raises
    ------
    ValueError
        An entry is empty.
    """
    entries = []
    for entry in text.split(","):
        label = entry.strip()
        if not label.removeprefix("-"):
            raise ValueError("an entry is empty")
        entries.append((label.startswith("-"), label.removeprefix("-")))
    return LabelFilter(tuple(entries))


def _decide(negated: list[bool], masks: list[Mask], n_rows: int) -> Mask:
    """Let the entries decide in their order."""
    taken = np.zeros(n_rows, np.bool_)
    open_rows = np.ones(n_rows, np.bool_)
    for is_negated, mask in zip(negated, masks, strict=True):
        if is_negated:
            # Such an entry decides every row that is left.
            return taken | (open_rows & ~mask)
        taken |= open_rows & mask
        open_rows &= ~mask
    return taken
