"""Rules: what can be said, and when it holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.plugins.alerts.ready_made import READY_MADE
from appliance.plugins.alerts.rules import (
    CONDITIONS,
    GROUPS,
    MEASURES,
    SEVERITIES,
    Rule,
    RuleError,
    rule_from_values,
)
from appliance.query.language.names import NoNames
from appliance.query.language.parsing import parse_filter


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"name": ""}, "name: expected a text without /"),
        ({"name": "a/b"}, "name: expected a text without /"),
        ({"name": "a\nb"}, "name: expected at most 64 printable characters in a line"),
        ({"measure": "bsp"}, "measure: unknown word, did you mean bps?, expected bps, pps"),
        ({"by": "sorce"}, "by: unknown word, did you mean source?"),
        ({"window": "4"}, "window: expected 5 to 3600"),
        ({"window": "x"}, "window: expected a whole number"),
        ({"window": "9" * 5000}, "window: expected a whole number"),
        ({"limit": "0"}, "limit: expected a number above 0"),
        ({"limit": "nan"}, "limit: expected a number above 0"),
        ({"limit": True}, "limit: expected a number"),
        ({"clear": "11"}, "clear: expected a number from 0 to the limit"),
        ({"condition": "below", "clear": "9"}, "clear: expected a number at or above the limit"),
        ({"condition": "utilisation"}, "condition: utilisation is of bps, by an interface"),
        ({"condition": "below", "measure": "ports"}, "condition: ports is for above only"),
        ({"measure": "lost"}, "by: lost is by exporter, without a filter"),
        ({"measure": "lost", "by": "exporter", "filter": "port 53"}, "by: lost is by exporter"),
        ({"condition": "above_baseline", "measure": "ports"}, "condition: a baseline is of bps"),
        ({"condition": "below_baseline", "window": "59"}, "window: of a baseline 60 at least"),
        ({"condition": "new"}, "by: new is one of many, such as a source"),
        ({"condition": "new", "by": "source", "measure": "ports"}, "condition: new is of bps"),
        ({"least": "5"}, "least: is for conditions on the baseline"),
        ({"condition": "above_baseline", "least": "-1"}, "least: expected a number from 0"),
        ({"quiet": "22:00"}, "quiet: expected two times of day such as 22:00-06:00"),
        ({"quiet": "25:00-06:00"}, "quiet: expected two times of day"),
        ({"is_on": "yes"}, "is_on: expected true or false"),
        ({"limits": "5"}, "unknown key, did you mean limit?"),
        ({"filter": 5}, "filter: expected a text"),
    ],
)
def test_rule_when_a_value_does_not_fit_then_one_sentence(
    values: dict[str, Any], error: str
) -> None:
    with pytest.raises(RuleError) as problem:
        rule_from_values({"name": "r", "limit": "10", **values})
    assert str(problem.value).startswith(error)


class WithList(NoNames):
    """Knows the list that a rule names."""

    def networks(self, name: str) -> list[tuple[int, int]] | None:
        return [(1, 2)] if name == "bad" else None


def test_ready_made_when_read_then_each_is_off_and_its_filter_understood() -> None:
    assert len({rule.name for rule in READY_MADE}) == len(READY_MADE)
    for rule in READY_MADE:
        assert not rule.is_on
        parse_filter(rule.filter, WithList())
        assert rule_from_values(rule.as_dict()) == rule


@pytest.mark.parametrize(
    ("rule", "breach", "between", "over"),
    [
        (Rule("r", limit=100), 100, 90, 79),
        (Rule("r", limit=100, clear=50), 150, 51, 49),
        (Rule("r", limit=100, condition="below"), 99, 110, 125),
    ],
)
def test_rule_when_a_value_is_between_then_what_is_goes_on(
    rule: Rule, breach: float, between: float, over: float
) -> None:
    assert (rule.is_breached(breach), rule.is_over(breach)) == (True, False)
    assert (rule.is_breached(between), rule.is_over(between)) == (False, False)
    assert (rule.is_breached(over), rule.is_over(over)) == (False, True)


@pytest.mark.parametrize(
    ("quiet", "time", "is_quiet"),
    [
        ("22:00-06:00", "23:59", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("12:00-13:00", "12:30", True),
        ("12:00-13:00", "13:00", False),
        ("", "12:30", False),
    ],
)
def test_rule_when_hours_are_quiet_then_over_midnight_too(
    quiet: str, time: str, is_quiet: bool
) -> None:
    local = datetime.fromisoformat(f"2026-01-31T{time}:30")
    assert Rule("r", limit=1, quiet=quiet).is_quiet(local) is is_quiet


def keys() -> Any:
    return st.sampled_from([*Rule.__dataclass_fields__, "x"])


def words() -> Any:
    known = [*MEASURES, *GROUPS, *CONDITIONS, *SEVERITIES, "5", "-1", "1e400", "22:00-06:00"]
    return st.one_of(st.sampled_from(known), st.text(max_size=80), st.integers(), st.booleans())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.dictionaries(keys(), st.one_of(words(), st.none(), st.floats())))
def test_rule_when_values_are_anything_then_a_rule_or_one_sentence(values: dict[str, Any]) -> None:
    try:
        rule = rule_from_values({"name": "r", **values})
    except RuleError:
        return
    assert rule_from_values(rule.as_dict()) == rule
    assert rule.sentence
