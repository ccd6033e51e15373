"""The keeper of baselines: asks the query engine for one hour after the other, in its own thread.

First the hours that the baseline of now needs, then those of the next hour, then all the others
from which later baselines are made: the flow log may have forgotten them by then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np

from appliance import StorageError
from appliance.errors import QueryError
from appliance.plugins.alerts.baseline_store import BaselineStore
from appliance.plugins.alerts.baselines import (
    BASELINE_GROUPS,
    HOUR_SECONDS,
    NEW_GROUPS,
    WEEK_SECONDS,
    WEEKS,
    KeptHour,
    hours_before,
    step_seconds,
)
from appliance.plugins.alerts.history import group_rates, rate_factor, series_order
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.query.question import Question
from appliance.ratelimit import RateLimited

logger = RateLimited(logging.getLogger(__name__))

CLOSED_SECONDS = 600
"""So long after its end an hour has its flows, those of slow exporters too."""

REST_SHARE, LEAST_REST_SECONDS = 4.0, 0.2
"""After each question it rests so many times as long: the loader has other work."""

IDLE_SECONDS = 5.0


class HistoryNeed(NamedTuple):
    """A rule that needs hours, of which flows, and where they are kept."""

    rule: Rule
    flows: VisibleFlows
    store: BaselineStore


class BaselineKeeper:
    """Fills stores of hours for the rules that need them."""

    def __init__(self) -> None:
        self._needs: Sequence[HistoryNeed] = ()
        self._now = 0.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def keep_up(self, needs: Sequence[HistoryNeed], now: float) -> None:
        """Say which rules need baselines, the more important first; does not wait."""
        self._needs, self._now = needs, now
        if needs and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="baselines", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the question that is being asked."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def ask_next(self, now: float) -> bool:
        """Ask for the hour that is needed first; return whether there was one.

        Raises
        ------
        QueryError, StorageError
            It cannot be answered.
        """
        needs = {(one.store.path, one.store.key(one.rule)): one for one in self._needs}
        known = {place: one.store.hours_of(place[1]) for place, one in needs.items()}
        for hours_of in (urgent_hours, later_hours):
            for place, need in needs.items():
                for hour in hours_of(need.rule, now, need.store.zone):
                    if hour not in known[place]:
                        keys = [key for path, key in needs if path == need.store.path]
                        need.store.put(place[1], self._answer(need, hour, now), keys)
                        return True
        return False

    def _answer(self, need: HistoryNeed, hour: int, now: float) -> KeptHour:
        """Return the largest groups of an hour."""
        rule = need.rule
        conditions = need.flows.rule_conditions(rule.filter)
        step = step_seconds(rule)
        limit = NEW_GROUPS if rule.condition == "new" else BASELINE_GROUPS
        question = Question(
            (rule.by,) if rule.by else (), (), series_order(rule), conditions,
            hour * 1000, (hour + HOUR_SECONDS) * 1000, step * 1000, limit,
        )  # fmt: skip
        answer = need.flows.engine().series(question, int(now * 1000))
        answer.provenance.check_complete("a baseline")
        rates = group_rates(answer, rate_factor(rule) / step)
        starts = [start for start in answer.starts_ms if answer.is_complete(start)]
        values = [[bins[start // 1000] for start in starts] for bins in rates.values()]
        array = np.array(values, np.float32).reshape(len(rates), len(starts))
        return KeptHour(hour, len(rates) >= limit, list(rates), array)

    def _run(self) -> None:
        expired_at = 0.0
        while not self._stopping.is_set():
            began, was_asked = time.monotonic(), False
            try:
                if self._now >= expired_at + HOUR_SECONDS:
                    for store in {one.store.path: one.store for one in self._needs}.values():
                        store.expire(self._now)
                    expired_at = self._now
                was_asked = self.ask_next(self._now)
            except (QueryError, StorageError) as error:
                logger.warning("a baseline of alerts cannot be made: %s", error)
            # Whatever a question raises must not end the thread.
            except Exception:
                logger.exception("a baseline of alerts failed")
            rest = max(REST_SHARE * (time.monotonic() - began), LEAST_REST_SECONDS)
            self._stopping.wait(rest if was_asked else IDLE_SECONDS)


def urgent_hours(rule: Rule, now: float, zone: tzinfo) -> list[int]:
    """Return the hours that the baselines of now and of the next hour are made of."""
    if rule.condition == "new":
        return []
    hour = int(now) // HOUR_SECONDS * HOUR_SECONDS
    return [*hours_before(hour, zone), *hours_before(hour + HOUR_SECONDS, zone)]


def later_hours(_rule: Rule, now: float, _zone: tzinfo) -> Iterable[int]:
    """Return all closed hours of four weeks, the newest first."""
    hour = int(now) // HOUR_SECONDS * HOUR_SECONDS
    closed = int(now - CLOSED_SECONDS) // HOUR_SECONDS * HOUR_SECONDS
    return range(closed - HOUR_SECONDS, hour - WEEKS * WEEK_SECONDS - 1, -HOUR_SECONDS)
