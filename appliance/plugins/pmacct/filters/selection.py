"""Which rows a plugin takes: `aggregate_filter`, and the filters of tags and labels.

A filter that cannot be read is said: nfacctd would go on without it and count everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TypeVar

import numpy as np

from appliance.plugins.pmacct.configuration.config import ConfigLine, at_line
from appliance.plugins.pmacct.filters.filter_language import read_filter
from appliance.plugins.pmacct.filters.predicates import Columns, Mask, Predicate
from appliance.plugins.pmacct.filters.tag_filter import (
    LabelFilter,
    TagFilter,
    read_label_filter,
    read_tag_filter,
)
from appliance.plugins.pmacct.maps.pre_tag_map import Tags

FILTERS = ("aggregate_filter", "pre_tag_filter", "pre_tag2_filter", "pre_tag_label_filter")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a plugin; None where it has none.

    Attributes
    ----------
    unsupported
        Key and sentence of each filter that cannot be read.
    """

    flows: Predicate | None = None
    tag: TagFilter | None = None
    tag2: TagFilter | None = None
    label: LabelFilter | None = None
    unsupported: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it looks at."""
        return self.flows.columns if self.flows is not None else frozenset()

    @property
    def needs_tags(self) -> bool:
        """Whether it looks at tags or labels."""
        return any(part is not None for part in (self.tag, self.tag2, self.label))

    def mask(self, columns: Columns, tags: Tags) -> Mask:
        """Return which rows it takes.

        Parameters
        ----------
        tags
            Of the rows; all 0 without `pre_tag_map`.
        """
        mask = np.asarray(True)
        if self.flows is not None:
            mask = mask & self.flows.mask(columns)
        if self.tag is not None:
            mask = mask & self.tag.mask(tags.tag)
        if self.tag2 is not None:
            mask = mask & self.tag2.mask(tags.tag2)
        if self.label is not None:
            mask = mask & self.label.mask(tags.labels, tags.label_texts)
        return mask


def read_selection(lines: Mapping[str, ConfigLine], path: Path) -> Selection:
    """Read the filters of a plugin.

    Parameters
    ----------
    lines
        Those of a configuration by key, some of `FILTERS`.
    """
    unsupported: list[tuple[str, str]] = []

    def part(key: str, read: Callable[[str], T]) -> T | None:
        line = lines.get(key)
        if line is None:
            return None
        try:
            return read(line.value)
        except ValueError as problem:
            unsupported.append((key, f"[{at_line(path, line.number)}] {key}: {problem}"))
            return None

    return Selection(
        part("aggregate_filter", _read_filters),
        part("pre_tag_filter", read_tag_filter),
        part("pre_tag2_filter", read_tag_filter),
        part("pre_tag_label_filter", read_label_filter),
        tuple(unsupported),
    )


def _read_filters(text: str) -> Predicate:
    """Return the predicate of filters with commas between them: one of them is enough."""
    return reduce(or_, (read_filter(part) for part in text.split(",")))
