"""Reads pmacct's `pre_tag_map`: rules that give records a tag, a second tag or a label.

A line is `set_tag=1 ip=10.0.0.0/8 sample_type=flow jeq=next`. The first rule that matches ends the
look-up, unless it jumps: `jeq` goes on at the rule with that `label`. Follows nfacctd 1.7.7, whose
words the warnings are. Rules are tried on whole columns; what they match is a mask of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.pmacct.configuration.config import at_line, is_comment, read_lines
from appliance.plugins.pmacct.filters.predicates import Columns, Predicate
from appliance.plugins.pmacct.maps.map_lines import (
    CONDITIONS,
    UnsupportedKeyError,
    condition_of,
    line_values,
)

LARGEST_TAG = 2**64 - 1
NEXT = "next"
"""What `jeq` calls the rule that follows."""

UNSET = -1
"""The class of service of a row whose rules set none."""

_SETTERS = {"set_tag", "id", "set_tag2", "id2", "set_label", "set_tos", "jeq", "label", "stack"}
_KNOWN = frozenset((*_SETTERS, *CONDITIONS))
_STACKS = {"": None, "sum": np.add, "or": np.bitwise_or}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. None: the rule does not set it.

    Attributes
    ----------
    condition
        What it asks of a flow.
    stack
        How its tag is put to the one that is there: `sum`, `or`, or empty for in its place.
    """

    condition: Predicate
    tag: int | None = None
    tag2: int | None = None
    label: str | None = None
    tos: int | None = None
    stack: str = ""
    jump: str = ""
    name: str = ""


@dataclass(slots=True)
class Tags:
    """What rules gave to rows.

    Attributes
    ----------
    labels
        Numbers into `label_texts`, of which the first is empty.
    tos
        The class of service in place of the flow's own; `UNSET`: none.
    """

    tag: NDArray[np.uint64]
    tag2: NDArray[np.uint64]
    labels: NDArray[np.int64]
    tos: NDArray[np.int16]
    label_texts: list[str] = field(default_factory=lambda: [""])

    @classmethod
    def none(cls, n_rows: int = 0) -> Tags:
        """Return the tags of rows that no rule has matched."""
        numbers = np.zeros(n_rows, np.uint64)
        tos = np.full(n_rows, UNSET, np.int16)
        return cls(numbers, numbers.copy(), np.zeros(n_rows, np.int64), tos)


@dataclass(frozen=True, slots=True)
class TagRules:
    """The rules of a file in its order.

    Attributes
    ----------
    warnings
        A sentence for each line that was ignored, as nfacctd ignores it.
    unsupported
        Key and sentence of each line that nfacctd would act upon.
    """

    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()
    unsupported: tuple[tuple[str, str], ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that they look at."""
        return frozenset().union(*(rule.condition.columns for rule in self.rules))

    @property
    def set_tos(self) -> bool:
        """Whether one of them sets the class of service."""
        return any(rule.tos is not None for rule in self.rules)

    def tags(self, columns: Columns, n_rows: int) -> Tags:
        """Try the rules on rows, those of every row together."""
        tags = Tags.none(n_rows)
        # Where each row goes on: the number of a rule. Jumps only go forward.
        at = np.zeros(n_rows, np.int64)
        places = {rule.name: i for i, rule in reversed(list(enumerate(self.rules))) if rule.name}
        for number, rule in enumerate(self.rules):
            rows = np.flatnonzero((at <= number) & rule.condition.mask(columns))
            if not len(rows):
                continue
            _set(tags, rule, rows)
            target = number + 1 if rule.jump == NEXT else places.get(rule.jump, -1)
            at[rows] = target if rule.jump and target > number else len(self.rules)
        return tags


def read_rules(path: Path) -> TagRules:
    """Read a file of rules.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    rules: list[Rule] = []
    warnings: list[str] = []
    unsupported: list[tuple[str, str]] = []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        place = f"[{at_line(path, number)}]"
        try:
            rules.append(_rule(text))
        except UnsupportedKeyError as problem:
            unsupported.append((problem.key, f"{place} {problem}"))
        except ValueError as problem:
            warnings.append(f"{place} {problem}")
    return TagRules(tuple(rules), tuple(warnings), tuple(unsupported))


def _set(tags: Tags, rule: Rule, rows: NDArray[np.intp]) -> None:
    stack = _STACKS[rule.stack]
    for column, value in ((tags.tag, rule.tag), (tags.tag2, rule.tag2)):
        if value is not None:
            number = np.uint64(value)
            column[rows] = number if stack is None else stack(column[rows], number)
    if rule.tos is not None:
        tags.tos[rows] = rule.tos
    if rule.label is not None:
        _append_label(tags, rule.label, rows)


def _append_label(tags: Tags, label: str, rows: NDArray[np.intp]) -> None:
    """Set a label, behind those that earlier rules have set."""
    for number in np.unique(tags.labels[rows]).tolist():
        before = tags.label_texts[number]
        text = f"{before},{label}" if before else label
        if text not in tags.label_texts:
            tags.label_texts.append(text)
        tags.labels[rows[tags.labels[rows] == number]] = tags.label_texts.index(text)


def _rule(text: str) -> Rule:
    """Return the rule of a line; `ValueError` has nfacctd's words for why there is none."""
    values = line_values(text, _KNOWN)
    tag = _tag(values, "set_tag", "id")
    tag2 = _tag(values, "set_tag2", "id2")
    label: str | None = values.get("set_label")
    if tag is not None or tag2 is not None:
        # In nfacctd tags go before a label of the same rule, which is not set then.
        label = None
    stack = values.get("stack", "")
    if stack not in _STACKS:
        raise ValueError(f"Unknown 'stack' value: '{stack}'. Line ignored.")
    return Rule(
        condition_of(values),
        tag=tag,
        tag2=tag2,
        label=label,
        tos=_tos(values),
        stack=stack,
        jump=values.get("jeq", ""),
        name=values.get("label", ""),
    )


def _tos(values: Mapping[str, str]) -> int | None:
    written = values.get("set_tos")
    if written is None:
        return None
    if not (written.isascii() and written.isdecimal()):
        raise ValueError(f"bad 'set_tos' value: '{written}'. Line ignored.")
    return int(written) & 255


def _tag(values: Mapping[str, str], key: str, alias: str) -> int | None:
    written = values.get(key, values.get(alias))
    if written is None:
        return None
    if written.endswith("++"):
        raise UnsupportedKeyError(f"{key}++", "records have no numbers that a restart keeps")
    if not (written.isascii() and written.isdecimal()) or int(written) > LARGEST_TAG:
        raise ValueError(f"Invalid {key}/{alias} specified (non-digit chars). Line ignored.")
    return int(written)
