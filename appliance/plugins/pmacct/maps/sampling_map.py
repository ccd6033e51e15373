"""Reads pmacct's `sampling_map`: the sampling rates of exporters that tell none or a wrong one.

A line is `id=1024 ip=192.0.2.0/24 in=5`; the first that matches a flow counts, as in nfacctd.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.pmacct.configuration.config import at_line, is_comment, read_lines
from appliance.plugins.pmacct.filters.predicates import Columns, Predicate
from appliance.plugins.pmacct.maps.map_lines import condition_of, line_values

_KNOWN = frozenset(("id", "ip", "in", "out"))


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """One line: a rate of flows; `exporters` where it asks for nothing but their addresses."""

    condition: Predicate
    rate: int
    exporters: str = ""


@dataclass(frozen=True, slots=True)
class SamplingMap:
    """The rules of a file in its order, and a sentence for each line that was ignored."""

    rules: tuple[SamplingRule, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the rules look at."""
        return frozenset().union(*(rule.condition.columns for rule in self.rules))

    def rates(self, columns: Columns, n_rows: int) -> NDArray[np.float64]:
        """Return the rate of each row; 0 where no rule matches."""
        rates = np.zeros(n_rows)
        for rule in self.rules:
            rates[(rates == 0) & rule.condition.mask(columns)] = rule.rate
        return rates


def read_sampling_map(path: Path) -> SamplingMap:
    """Read a file of sampling rates.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    rules: list[SamplingRule] = []
    warnings: list[str] = []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        try:
            rules.append(_rule(text))
        except ValueError as problem:
            warnings.append(f"[{at_line(path, number)}] {problem}")
    return SamplingMap(tuple(rules), tuple(warnings))


def _rule(text: str) -> SamplingRule:
    values = line_values(text, _KNOWN)
    rate = values.get("id", "")
    if rate and not (rate.isascii() and rate.isdecimal() and int(rate) < 2**32):
        raise ValueError("Invalid set_tag/id specified (non-digit chars). Line ignored.")
    if not int(rate or 0) or "ip" not in values:
        raise ValueError("required key missing. Required keys are: 'id', 'ip'. Line ignored.")
    exporters = values["ip"] if values.keys() == {"id", "ip"} else ""
    return SamplingRule(condition_of(values), int(rate), exporters)
