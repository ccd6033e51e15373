"""A flow log that flows are written to second by second, and what looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.plugins.alerts.evaluator import AlertLoader
from appliance.plugins.alerts.messages import Messages
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import Alert
from tests.web.conftest import settings, store

__all__ = ["settings", "store"]

START = 1_800_000_000


def flows(n: int, at: float, **columns: Any) -> FlowBatch:
    """Return n flows of 100 octets and one packet from 10.0.0.1 to 192.0.2.1, TCP."""
    values: dict[str, Any] = {
        "collection_time_milliseconds": int(at * 1000),
        "exporter_address_lo": V4_MAPPED | 0x0A0000FE,
        "exporter_address_hi": 0,
        "record_kind": 0,
        "source_address_hi": 0,
        "source_address_lo": V4_MAPPED | 0x0A000001,
        "destination_address_hi": 0,
        "destination_address_lo": V4_MAPPED | 0xC0000201,
        "protocol_identifier": 6,
        "octet_delta_count": 100,
        "packet_delta_count": 1,
        "sampling_rate": 1,
    } | columns
    from appliance.flows import COLUMN

    arrays = {
        name: np.broadcast_to(np.asarray(value, COLUMN[name].dtype), (n,))
        for name, value in values.items()
    }
    return FlowBatch(n, arrays)


@dataclass
class World:
    """A log, a loader of alerts beside it, and a clock."""

    settings: Any
    told: list[str] = field(default_factory=list)
    now: float = START

    def __post_init__(self) -> None:
        self.log: Path = self.settings["data_directory"] / "flowlog"
        self.writer = FlowLogWriter(self.log, FlowLogLimits(minimum_free_octets=0))
        self.writer.start()
        self.loader = self.new_loader()
        self.warnings: list[str] = []

    def new_loader(self) -> AlertLoader:
        """Return a loader as a process that begins now has it."""
        return AlertLoader(self.settings, Told(self.told))

    def rule(self, **values: Any) -> Rule:
        rule = Rule("a rule", **values)
        self.loader.store.put_rule(rule)
        self.step()
        return rule

    def step(self, *batches: FlowBatch, seconds: float = 1.0) -> None:
        """Write flows and let the loader look, then let a second pass."""
        for batch in batches:
            self.writer.append(batch)
        self.writer.flush({}, int(self.now * 1000))
        self.warnings += self.loader.load_once(self.now).warnings
        self.now += seconds

    def alerts(self, only_open: bool = True) -> list[Alert]:
        return self.loader.store.alerts(only_open=only_open)

    def subjects(self) -> list[str]:
        return sorted(alert.subject for alert in self.alerts())


class Told(Messages):
    """Keeps what people would be told."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(None, UTC, 60)
        self.said = said

    def tell(self, rule: Rule, alert: Alert) -> None:
        self.said.append(f"{'over' if alert.ended else 'begins'}: {alert.sentence}")


@pytest.fixture
def world(settings: Any) -> Iterator[World]:
    world = World(settings)
    yield world
    world.writer.close(int(world.now * 1000))
