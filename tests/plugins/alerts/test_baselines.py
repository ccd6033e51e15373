"""Baselines: what is usual at an hour of the week, and who is new."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.flows import V4_MAPPED
from appliance.plugins.alerts import baseline_keeper
from appliance.plugins.alerts.baseline_keeper import BaselineKeeper, HistoryNeed
from appliance.plugins.alerts.baseline_store import BaselineStore, problem_of
from appliance.plugins.alerts.baselines import (
    KeptHour,
    Usual,
    baseline_key,
    hours_before,
    usual_values,
)
from appliance.plugins.alerts.evaluator import AlertLoader
from appliance.plugins.alerts.history import RuleTest, try_rule
from appliance.plugins.alerts.rules import GROUPS, Rule, RuleError
from appliance.plugins.alerts.store import AlertStore, StoreLimits
from appliance.plugins.alerts.tracking import keys_of, subject_of
from appliance.plugins.alerts.visible_flows import VisibleFlows
from tests.plugins.alerts.conftest import START, Told, World, flows

HOUR, DAY, WEEK = 3600, 86_400, 7 * 86_400
NOW = START // HOUR * HOUR + 600
"""Ten minutes into an hour."""

WEB, MAIL, NEW = (V4_MAPPED | 0x0A000000 | number for number in (1, 2, 9))
OCTETS = 750_000
"""In five minutes: 20 kbit/s."""


class AtOnce(BaselineKeeper):
    """Asks in the thread of the test, so many hours a second."""

    def keep_up(self, needs: Sequence[HistoryNeed], now: float) -> None:
        self._needs = needs
        while self.ask_next(now):
            pass


class Weeks(World):
    """A log with flows of some weeks before now."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.now = float(NOW)

    def new_loader(self) -> AlertLoader:
        return AlertLoader(self.settings, Told(self.told), AtOnce())

    def hour(self, start: float, octets: Sequence[int], source: int = WEB) -> None:
        """Write an hour with a flow in each five minutes."""
        for place, number in enumerate(octets):
            at = start + 300 * place + 60
            self.writer.append(flows(1, at, source_address_lo=source, octet_delta_count=number))
        self.writer.flush({}, int((start + HOUR) * 1000))

    def usual_weeks(self, weeks: int = 4) -> None:
        """Write the same hours of the weeks before: web about 20 kbit/s, mail 2."""
        for week in range(weeks, 0, -1):
            for hour in (0, 1):
                start = NOW - 600 - week * WEEK + hour * HOUR
                wave = [OCTETS + 30_000 * (place % 3 - 1) * week for place in range(12)]
                self.hour(start, wave)
                self.hour(start, [OCTETS // 10] * 12, MAIL)

    def minutes(self, n: int, octets: int, source: int = WEB) -> None:
        """Let so much come in each minute."""
        for _ in range(6 * n):
            self.step(
                flows(1, self.now, source_address_lo=source, octet_delta_count=octets // 6),
                seconds=10,
            )


@pytest.fixture
def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Of the hours that only later baselines need a day is enough.
    closed = range(NOW - 600 - HOUR, NOW - 600 - 26 * HOUR, -HOUR)
    monkeypatch.setattr(baseline_keeper, "later_hours", lambda *_: closed)
    world = Weeks(settings)
    yield world
    world.writer.close(int(world.now * 1000))


ABOVE = {"by": "source", "window": 300, "condition": "above_baseline", "limit": 6.0}


def test_alert_when_traffic_is_unusual_then_it_says_median_and_mad(world: Weeks) -> None:
    world.usual_weeks()
    world.rule(**ABOVE)
    world.minutes(6, OCTETS // 5)
    assert world.alerts() == []
    world.minutes(5, OCTETS)
    [alert] = world.alerts()
    assert alert.subject == "10.0.0.1"
    assert "usual at this hour of the week are 20k (median of 4 weeks, MAD " in alert.sentence
    assert "deviations above (limit 6)" in alert.sentence
    assert 6 <= alert.peak < 50
    world.minutes(7, OCTETS // 5)
    assert world.alerts() == []


def test_alert_when_a_group_is_silent_then_below_its_baseline(world: Weeks) -> None:
    world.usual_weeks()
    world.rule(**{**ABOVE, "condition": "below_baseline"}, least=10_000)
    world.minutes(6, OCTETS // 5)
    assert world.alerts() == []
    world.minutes(6, OCTETS // 5, MAIL)
    # Mail is above its baseline; it was below until it came, but is too small to matter.
    assert [(a.subject, a.ended) for a in world.alerts(only_open=False)] == [("10.0.0.1", None)]


def test_alert_when_it_is_little_then_none(world: Weeks) -> None:
    world.usual_weeks()
    world.rule(**ABOVE, least=1_000_000)
    world.minutes(6, OCTETS)
    assert world.alerts(only_open=False) == []


def test_rule_when_there_is_too_little_history_then_no_alert_and_it_says_so(world: Weeks) -> None:
    world.usual_weeks(weeks=1)
    rule = world.rule(**ABOVE)
    world.minutes(6, 10 * OCTETS)
    assert world.alerts(only_open=False) == []
    said = problem_of(rule, BaselineStore(world.loader.store, UTC), world.now)
    assert said == "no baseline yet: 1 of at least 2 weeks of this hour of the week known"


def test_baseline_when_kept_then_the_log_is_not_asked_again(
    world: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.usual_weeks()
    asked: list[int] = []
    answer = AtOnce._answer

    def counted(self: Any, need: HistoryNeed, hour: int, now: float) -> KeptHour:
        asked.append(hour)
        return answer(self, need, hour, now)

    monkeypatch.setattr(AtOnce, "_answer", counted)
    world.rule(**ABOVE)
    world.step()
    here = NOW - 600
    assert asked[:4] == [here - week * WEEK for week in (1, 2, 3, 4)]
    world.step()
    before = len(asked)
    assert before == len(set(asked)) == 8 + 25
    world.loader = world.new_loader()
    for _ in range(3):
        world.step()
    assert len(asked) == before


def test_hours_when_old_then_forgotten(world: Weeks) -> None:
    store = BaselineStore(world.loader.store, UTC)
    values = np.ones((1, 12), np.float32)
    for week in range(9):
        store.put("a", KeptHour(NOW - week * WEEK, False, ["x"], values), {"a"})
    store.expire(NOW)
    assert sorted(store.hours_of("a")) == [NOW - week * WEEK for week in (4, 3, 2, 1, 0)]


def test_keeper_when_a_question_fails_then_the_thread_goes_on(
    world: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.usual_weeks()
    store = BaselineStore(world.loader.store, UTC)
    keeper, failures = BaselineKeeper(), [ValueError("once")]
    answer = BaselineKeeper._answer

    def failing(self: Any, *facts: Any) -> KeptHour:
        if failures:
            raise failures.pop()
        return answer(self, *facts)

    monkeypatch.setattr(BaselineKeeper, "_answer", failing)
    monkeypatch.setattr("appliance.plugins.alerts.baseline_keeper.IDLE_SECONDS", 0.01)
    rule = Rule("r", **ABOVE)
    keeper.keep_up([HistoryNeed(rule, VisibleFlows(world.settings), store)], world.now)
    while len(store.hours_of(baseline_key(rule))) < 2:
        assert keeper._thread is not None
        assert keeper._thread.is_alive()
        keeper._stopping.wait(0.01)
    keeper.stop()
    assert not keeper._thread.is_alive()


SHARE = {"measure": "share", "by": "source", "window": 300, "condition": "new", "limit": 20.0}


def test_alert_when_a_new_host_takes_a_large_share_then_told_until_it_is_small(
    world: Weeks,
) -> None:
    for hour in range(30, 0, -1):
        world.hour(NOW - 600 - hour * HOUR, [OCTETS] * 12)
    world.loader.store.switch_rule("sudden new top talker", True)
    world.minutes(6, OCTETS // 5)
    assert world.alerts() == []
    world.minutes(3, OCTETS, NEW)
    [alert] = world.alerts()
    assert alert.subject == "10.0.0.9"
    assert "not among the 10 largest of any of the " in alert.sentence
    world.minutes(6, OCTETS // 5)
    assert world.alerts() == []


def test_new_when_less_than_a_day_is_known_then_nobody_is(world: Weeks) -> None:
    for hour in range(20, 0, -1):
        world.hour(NOW - 600 - hour * HOUR, [OCTETS] * 12)
    rule = world.rule(**SHARE)
    world.minutes(6, OCTETS, NEW)
    assert world.alerts(only_open=False) == []
    assert "of at least 24 hours known" in problem_of(
        rule, BaselineStore(world.loader.store, UTC), world.now
    )


def tried(world: Weeks, rule: Rule) -> RuleTest:
    return try_rule(rule, NOW - 600 - 2 * HOUR, NOW, VisibleFlows(world.settings), NOW)


def test_rule_when_tried_on_the_past_then_against_the_weeks_before_each_hour(
    world: Weeks,
) -> None:
    last = NOW - 600 - HOUR
    for week in (4, 3, 2, 1):
        for hour in (last - HOUR, last):
            wave = [OCTETS + 30_000 * (place % 3 - 1) for place in range(12)]
            world.hour(hour - week * WEEK, wave)
    world.hour(last - HOUR, [OCTETS] * 12)
    world.hour(last, [OCTETS] * 6 + [4 * OCTETS] * 2 + [OCTETS] * 4)
    world.writer.close(NOW * 1000)
    found = tried(world, Rule("r", **ABOVE))
    world.writer.start()
    [alert] = found.alerts
    assert (alert.subject, alert.began, alert.ended) == ("10.0.0.1", last + 1800, last + 2400)
    # 80 kbit/s; the median is 20, its MAD 0.8: a tenth of the median is more.
    assert alert.peak == pytest.approx((80_000 - 20_000) / 2_000)
    assert alert.facts.startswith("80k bits a second; usual at this hour of the week are 20k")
    assert found.problem == ""


def test_rule_when_tried_with_too_little_history_then_it_says_so(world: Weeks) -> None:
    world.usual_weeks(weeks=1)
    found = tried(world, Rule("r", **ABOVE))
    assert (found.alerts, found.problem) == (
        [],
        "no baseline for 3 of 3 hours: too little history",
    )


def test_rule_about_new_ones_when_tried_on_the_past_then_found_once(world: Weeks) -> None:
    last = NOW - 600 - HOUR
    for hour in range(30, -1, -1):
        world.hour(last - hour * HOUR, [OCTETS] * 12)
    world.hour(last, [0] * 6 + [OCTETS] * 3, NEW)
    world.writer.close(NOW * 1000)
    found = tried(world, Rule("r", **SHARE))
    world.writer.start()
    [alert] = found.alerts
    assert (alert.subject, alert.began, alert.ended) == ("10.0.0.9", last + 1800, last + 2700)
    assert alert.peak == pytest.approx(50)
    assert found.problem == ""


@given(
    values=st.lists(st.lists(st.integers(0, 1000), min_size=2, max_size=2), min_size=2, max_size=4)
)
def test_usual_when_of_any_weeks_then_median_and_mad(values: list[list[int]]) -> None:
    hours = [
        KeptHour(number, False, ["x"], np.array([week], np.float32))
        for number, week in enumerate(values)
    ]
    every = [value for week in values for value in week]
    median = statistics.median(every)
    mad = statistics.median(abs(value - median) for value in every)
    assert usual_values(hours) == {"x": Usual(median, mad, len(values))}


def test_usual_when_a_group_is_missing_then_zero_or_unknown_where_it_was_cut() -> None:
    def hour(is_cut: bool, *subjects: str) -> KeptHour:
        return KeptHour(0, is_cut, subjects, np.full((len(subjects), 2), 10, np.float32))

    usual = usual_values([hour(False, "a"), hour(False, "a", "b"), hour(False)])
    assert usual == {"a": Usual(10, 0, 3), "b": Usual(0, 0, 3)}
    usual = usual_values([hour(True, "a"), hour(True, "a", "b"), hour(False, "a")])
    assert usual == {"a": Usual(10, 0, 3), "b": Usual(5, 5, 2)}
    assert usual_values([hour(False, "a")]) == {}


def test_hours_before_when_clocks_change_then_the_same_by_the_clock_on_the_wall() -> None:
    zone = ZoneInfo("Europe/Berlin")
    monday = datetime(2026, 4, 6, 9, tzinfo=zone)
    before = [
        datetime.fromtimestamp(at, zone) for at in hours_before(int(monday.timestamp()), zone)
    ]
    assert [f"{one:%d.%m. %H:%M}" for one in before] == [
        "30.03. 09:00", "23.03. 09:00", "16.03. 09:00", "09.03. 09:00",
    ]  # fmt: skip


@pytest.mark.parametrize("by", [name for name in GROUPS if name])
def test_group_when_read_from_its_text_then_the_same(by: str) -> None:
    rule = Rule("r", by=by, limit=1)
    keys = tuple(range(7, 7 + len(GROUPS[by])))
    assert keys_of(rule, subject_of(rule, keys)) == keys


def test_store_when_very_many_rules_want_history_then_refused(world: Weeks) -> None:
    store = AlertStore(world.loader.store.path, StoreLimits(with_history=2))
    for name in "ab":
        store.put_rule(Rule(name, **ABOVE))
    store.put_rule(Rule("a", **{**ABOVE, "limit": 7.0}))
    with pytest.raises(RuleError, match="2 rules with history are on already"):
        store.put_rule(Rule("c", **ABOVE))
