"""What twenty rules of alerts cost that compare with the weeks before: the questions for the hours
of their baselines, and looking at flows each second, next to rules with a limit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC
from itertools import product
from pathlib import Path
from typing import Any

from appliance.app import open_app
from appliance.flowlog import FLOW_LOG_FOLDER, FlowLogLimits, FlowLogWriter, Maintainer
from appliance.plugins.alerts.baseline_keeper import BaselineKeeper, urgent_hours
from appliance.plugins.alerts.baseline_store import BaselineStore
from appliance.plugins.alerts.evaluator import AlertLoader
from appliance.plugins.alerts.messages import Messages
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import alert_store
from appliance.settings.file import Settings
from tests.benchmarks.history import HOUR, History, Traffic
from tests.benchmarks.served import write_configuration

HOUR_FLOWS = 1_000_000
SECONDS = 60
"""So long flows are looked at, as many as are usual."""

NEVER = 1e9
"""A limit that nothing reaches: alerts have their own cost."""

GROUPS = ("source", "destination", "ingress_interface", "destination_port", "exporter")
FILTERS = ("", "proto tcp", "dst port 443", "src net 10.0.0.0/8")
FILE_LIMITS = FlowLogLimits(segment_seconds=HOUR, retention_seconds=0, minimum_free_octets=0)


class AskedBefore(BaselineKeeper):
    """Has its hours already."""

    def keep_up(self, rules: Sequence[Rule], now: float) -> None:
        """Ask nothing."""


def baselines(folder: Path) -> dict[str, Any]:
    """Make the hours that baselines need, ask for them, then let rules look at a minute."""
    now = int(time.time()) // HOUR * HOUR + 600
    settings = open_app(write_configuration(folder, {})).settings
    alerts, rules = alert_store(settings), baseline_rules()
    alerts.put_rule(rules[0])
    store = BaselineStore(alerts, UTC)
    hours = sorted(urgent_hours(rules[0], now, UTC))
    traffic = Traffic(History(1, HOUR_FLOWS))
    _write_hours(settings, traffic, hours)
    keeper = AskedBefore(settings, store)
    keeper._rules = rules
    began = time.process_time()
    n_questions = len(rules) * len(hours)
    for _ in range(n_questions):
        assert keeper.ask_next(now)
    each = (time.process_time() - began) / n_questions
    limits = [Rule(rule.name, rule.filter, by=rule.by, limit=NEVER**2) for rule in rules]
    return {
        "hour_flows": HOUR_FLOWS,
        "rules": len(rules),
        "question_cpu_seconds": each,
        "core_share": each * len(rules) / HOUR,
        "seconds": SECONDS,
        "looking_cpu_seconds": {
            name: _looking(settings, keeper, traffic, chosen, now + number * SECONDS)
            for number, (name, chosen) in enumerate(
                (("a rule with a limit", limits[:1]), ("limits", limits), ("baselines", rules))
            )
        },
    }


def baseline_rules() -> list[Rule]:
    """Return twenty rules, no two of which share hours."""
    return [
        Rule(str(number), words, by=by, window=300, condition="above_baseline", limit=NEVER)
        for number, (by, words) in enumerate(product(GROUPS, FILTERS), 1)
    ]


def _write_hours(settings: Settings, traffic: Traffic, hours: Sequence[int]) -> None:
    log = settings["data_directory"] / FLOW_LOG_FOLDER
    writer, maintainer = FlowLogWriter(log, FILE_LIMITS), Maintainer(log, FILE_LIMITS)
    writer.start()
    for hour in hours:
        writer.append(traffic.flows(hour, hour + HOUR, HOUR_FLOWS))
        writer.flush({}, (hour + HOUR) * 1000)
    writer.close((hours[-1] + HOUR) * 1000)
    maintainer.run_once((hours[-1] + HOUR) * 1000)


def _looking(
    settings: Settings, keeper: BaselineKeeper, traffic: Traffic, rules: Sequence[Rule], now: int
) -> float:
    """Return the CPU seconds of looking at new flows each second for a minute."""
    store = alert_store(settings)
    for rule in store.rules():
        store.delete_rule(rule.name)
    for rule in rules:
        store.put_rule(rule)
    loader = AlertLoader(settings, Messages(None, UTC, 60), keeper)
    writer = FlowLogWriter(settings["data_directory"] / FLOW_LOG_FOLDER, FILE_LIMITS)
    writer.start()
    used = 0.0
    for second in range(now, now + SECONDS):
        writer.append(traffic.flows(second, second + 1, HOUR_FLOWS // HOUR))
        writer.flush({}, second * 1000)
        began = time.process_time()
        loader.load_once(second)
        used += time.process_time() - began
    writer.close((now + SECONDS) * 1000)
    return used
