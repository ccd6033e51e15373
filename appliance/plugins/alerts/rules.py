"""What a rule says: of which flows, what is measured, and when that is an alert."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from appliance import ApplianceError
from appliance.settings.raw_values import unknown

MEASURES: Mapping[str, str] = {
    "bps": "bits a second",
    "pps": "packets a second",
    "fps": "flows a second",
    "share": "percent of all octets",
    "sources": "different source addresses",
    "destinations": "different destination addresses",
    "ports": "different destination ports",
}
"""What is measured over the window, and its unit."""

HEALTH_MEASURES: Mapping[str, str] = {
    "lost": "percent lost on the way",
    "waiting": "data sets that wait for their template",
    "sampling_changes": "changes of the sampling rate",
}
"""What the collector says of exporters, and its unit."""

UNITS: Mapping[str, str] = {**MEASURES, **HEALTH_MEASURES}

DISTINCT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sources": ("source_address_hi", "source_address_lo"),
    "destinations": ("destination_address_hi", "destination_address_lo"),
    "ports": ("destination_transport_port",),
}
"""The columns of which different values are counted."""

_EXPORTER = ("exporter_address_hi", "exporter_address_lo")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "exporter": _EXPORTER,
    "ingress_interface": (*_EXPORTER, "ingress_interface"),
    "egress_interface": (*_EXPORTER, "egress_interface"),
    "source": ("source_address_hi", "source_address_lo"),
    "destination": ("destination_address_hi", "destination_address_lo"),
    "source_as": ("bgp_source_as_number",),
    "destination_as": ("bgp_destination_as_number",),
    "protocol": ("protocol_identifier",),
    "destination_port": ("destination_transport_port",),
}
"""By what a rule looks at each of many alone, and the columns that tell them apart; names are those
of dimensions of questions."""

CONDITIONS: Mapping[str, str] = {
    "above": "at the limit or above it",
    "below": "below the limit",
    "utilisation": "at the limit or above it, in percent of the interface's speed",
    "above_baseline": "so many deviations above what is usual at this hour of the week",
    "below_baseline": "so many deviations below what is usual at this hour of the week",
    "new": "at the limit or above it, of one that was not among the largest before",
}
BASELINES = ("above_baseline", "below_baseline")
NEEDS_HISTORY = (*BASELINES, "new")
"""Conditions that compare with the four weeks before."""

SEVERITIES = ("info", "warning", "critical")

MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS = 5, 3600
MIN_BASELINE_SECONDS = 60
"""The shortest means that a baseline is made of."""

MAX_FOR_SECONDS = 86_400
MAX_NAME, MAX_TEXT, MAX_FILTER = 64, 500, 4096
_HYSTERESIS = 0.8
"""What is over again at 80 % of the limit, where a rule does not say."""

_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class RuleError(ApplianceError):
    """A rule is not understood; the text says what of it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When somebody wants to be told of what.

    Attributes
    ----------
    filter
        Which flows count, in the language of filters; empty for all.
    measure
        A key of `UNITS`.
    by
        A key of `GROUPS`: each group is looked at alone.
    window
        Seconds that the measure is over.
    condition
        A key of `CONDITIONS`.
    limit
        In the unit of the measure, or percent of the speed of the interface, or deviations from
        the baseline.
    least
        Of conditions on the baseline: less than this, in the unit of the measure, is no matter.
    clear
        The alert is over when the measure is beyond this again; None: see `clear_at`.
    hold
        Seconds that the condition must hold before it is an alert.
    quiet
        Local time of day in which nobody is sent a message, such as 22:00-06:00.
    text
        What to say beside the facts.
    is_on
        Whether it is looked at.
    """

    name: str
    filter: str = ""
    measure: str = "bps"
    by: str = ""
    window: int = 60
    condition: str = "above"
    limit: float = 0.0
    clear: float | None = None
    least: float = 0.0
    hold: int = 0
    severity: str = "warning"
    quiet: str = ""
    text: str = ""
    is_on: bool = True

    def __post_init__(self) -> None:
        _check_text("name", self.name, MAX_NAME)
        _check_text("text", self.text, MAX_TEXT)
        if not self.name or "/" in self.name:
            raise RuleError("name: expected a text without /")
        if len(self.filter) > MAX_FILTER:
            raise RuleError(f"filter: at most {MAX_FILTER} characters")
        _check_word("measure", self.measure, UNITS)
        _check_word("by", self.by, GROUPS)
        _check_word("condition", self.condition, CONDITIONS)
        _check_word("severity", self.severity, SEVERITIES)
        _check_range("window", self.window, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)
        _check_range("hold", self.hold, 0, MAX_FOR_SECONDS)
        if not math.isfinite(self.limit) or self.limit <= 0:
            raise RuleError("limit: expected a number above 0")
        self._check_condition()
        if self.quiet and not _QUIET.fullmatch(self.quiet):
            raise RuleError("quiet: expected two times of day such as 22:00-06:00")

    def _check_condition(self) -> None:
        if self.condition == "utilisation":
            if self.measure != "bps" or not self.by.endswith("_interface"):
                raise RuleError("condition: utilisation is of bps, by an interface")
            if self.limit > 100:
                raise RuleError("limit: utilisation is a percentage, 100 at most")
        self._check_history()
        if self.condition == "below" and self.measure not in ("bps", "pps", "fps", "share"):
            raise RuleError(f"condition: {self.measure} is for above only")
        if self.measure in HEALTH_MEASURES and (self.by != "exporter" or self.filter):
            raise RuleError(f"by: {self.measure} is by exporter, without a filter")
        if self.clear is None:
            return
        is_below = self.condition == "below"
        is_sane = self.clear >= self.limit if is_below else self.clear <= self.limit
        if not math.isfinite(self.clear) or self.clear < 0 or not is_sane:
            side = "at or above" if is_below else "from 0 to"
            raise RuleError(f"clear: expected a number {side} the limit")

    def _check_history(self) -> None:
        is_baseline = self.condition in BASELINES
        if is_baseline and self.measure not in ("bps", "pps", "fps"):
            raise RuleError("condition: a baseline is of bps, pps or fps")
        if is_baseline and self.window < MIN_BASELINE_SECONDS:
            raise RuleError(f"window: of a baseline {MIN_BASELINE_SECONDS} at least")
        if self.condition == "new" and not self.by:
            raise RuleError("by: new is one of many, such as a source")
        if self.condition == "new" and self.measure not in ("bps", "pps", "fps", "share"):
            raise RuleError("condition: new is of bps, pps, fps or share")
        if not math.isfinite(self.least) or self.least < 0:
            raise RuleError("least: expected a number from 0")
        if self.least and not is_baseline:
            raise RuleError("least: is for conditions on the baseline")

    @property
    def needs_history(self) -> bool:
        """Whether it compares with the weeks before."""
        return self.condition in NEEDS_HISTORY

    @property
    def clear_at(self) -> float:
        """Where the alert is over: a fifth beyond the limit, if the rule does not say."""
        if self.clear is not None:
            return self.clear
        return self.limit / _HYSTERESIS if self.condition == "below" else self.limit * _HYSTERESIS

    def is_breached(self, value: float) -> bool:
        """Tell whether a value is an alert."""
        return value < self.limit if self.condition == "below" else value >= self.limit

    def is_over(self, value: float) -> bool:
        """Tell whether a value ends an alert."""
        return value >= self.clear_at if self.condition == "below" else value < self.clear_at

    def is_quiet(self, local: datetime) -> bool:
        """Tell whether nobody is to be sent a message at a local time."""
        if not self.quiet:
            return False
        first, last = self.quiet.split("-")
        now = f"{local:%H:%M}"
        return first <= now < last if first <= last else now >= first or now < last

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as JSON has it."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What the rule says, in words."""
        of = f" of {self.filter}" if self.filter else ""
        by = f" by {self.by}" if self.by else ""
        unit = "% of the speed" if self.condition == "utilisation" else UNITS[self.measure]
        side = "below" if self.condition == "below" else "at least"
        held = f" for {self.hold} s" if self.hold else ""
        limit = f"{short_number(self.limit)} {unit}"
        if self.condition in BASELINES:
            direction = self.condition.removesuffix("_baseline")
            limit = f"{short_number(self.limit)} deviations {direction} the baseline in {unit}"
            held += f", from {short_number(self.least)} on" if self.least else ""
        by += ", by one that is new" if self.condition == "new" else ""
        return f"{side} {limit}{of}{by}, over {self.window} s{held}"


def short_number(value: float) -> str:
    """Return a number of three digits with k, M or G."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{prefix}"
    return f"{value:.3g}"


def rule_from_values(values: Mapping[str, Any]) -> Rule:
    """Return the rule that JSON or an option's texts say.

    Raises
    ------
    RuleError
        A key is not known, or a value does not fit.
    """
    kinds = {field.name: str(field.type) for field in fields(Rule)}
    if strange := [key for key in values if key not in kinds]:
        raise RuleError(unknown("key", strange[0], kinds))
    return Rule(**{key: _converted(key, value, kinds[key]) for key, value in values.items()})


def _converted(key: str, value: Any, kind: str) -> Any:
    if kind == "bool":
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise RuleError(f"{key}: expected true or false")
    if kind == "str":
        if not isinstance(value, str):
            raise RuleError(f"{key}: expected a text")
        return value.strip()
    if value is None or value == "":
        if kind.endswith("None"):
            return None
        raise RuleError(f"{key}: expected a number")
    if isinstance(value, bool):
        raise RuleError(f"{key}: expected a number")
    try:
        return int(str(value)) if kind == "int" else float(value)
    except (TypeError, ValueError, OverflowError):
        expected = "a whole number" if kind == "int" else "a number"
        raise RuleError(f"{key}: expected {expected}") from None


def _check_text(key: str, text: str, most: int) -> None:
    if len(text) > most or not text.isprintable():
        raise RuleError(f"{key}: expected at most {most} printable characters in a line")


def _check_word(key: str, word: str, known: Any) -> None:
    if word not in known:
        raise RuleError(f"{key}: {unknown('word', word, known)}, expected {_listed(known)}")


def _check_range(key: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise RuleError(f"{key}: expected {least} to {most}")


def _listed(words: Any) -> str:
    return ", ".join(word or '""' for word in words)
