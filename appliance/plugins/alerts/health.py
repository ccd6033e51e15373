"""What the collector says of exporters, measured as flows are: losses, templates, sampling."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance import FlowBatch, Settings
from appliance.collector.exporter_rows import ExporterRow, exporter_rows
from appliance.collector.paths import CollectorPaths
from appliance.collector.status import read_status
from appliance.flows import address_halves
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.windows import GroupValues, group_values

READ_SECONDS = 5
MAX_EXPORTERS = 10_000


class _Facts(NamedTuple):
    """Of one exporter at one moment, its sessions together."""

    lost: int
    received: int
    waiting: int
    sampling: tuple[float, ...]


_Moment = tuple[int, Mapping[str, _Facts]]


class HealthWindow:
    """What a rule about the health of exporters measures; see `Window`."""

    reads: frozenset[str] = frozenset()

    def __init__(self, rule: Rule, settings: Settings) -> None:
        self.rule, self._settings = rule, settings
        self._path = CollectorPaths(settings["data_directory"]).status
        self._moments: deque[_Moment] = deque()

    def add(self, batch: FlowBatch, chosen: NDArray[np.intp]) -> None:
        """Do nothing: flows do not tell."""

    def values(self, until: int) -> GroupValues:
        """Return what each exporter has over the window that ends at a second."""
        if not self._moments or until - self._moments[-1][0] >= READ_SECONDS:
            self._moments.append((until, self._read()))
        while len(self._moments) > 1 and self._moments[1][0] <= until - self.rule.window:
            self._moments.popleft()
        measure = _MEASURES[self.rule.measure]
        found: dict[tuple[int, ...], float] = {}
        for address in self._moments[-1][1]:
            facts = [known[address] for _, known in self._moments if address in known]
            found[address_halves(address)] = measure(facts)
        return group_values(found)

    def _read(self) -> Mapping[str, _Facts]:
        rows: dict[str, list[ExporterRow]] = {}
        for row in exporter_rows(read_status(self._path) or {}, self._settings):
            if len(rows) < MAX_EXPORTERS or row.exporter in rows:
                rows.setdefault(row.exporter, []).append(row)
        return {
            address: _Facts(
                sum(row.lost for row in of_one),
                sum(row.received for row in of_one),
                sum(row.waiting for row in of_one),
                tuple(row.sampling or 0.0 for row in of_one),
            )
            for address, of_one in rows.items()
        }


def _lost(facts: Sequence[_Facts]) -> float:
    """Return the percentage that was lost; counters begin anew with the collector."""
    lost = facts[-1].lost - facts[0].lost
    received = facts[-1].received - facts[0].received
    return 100 * lost / (lost + received) if lost > 0 and received >= 0 else 0.0


def _waiting(facts: Sequence[_Facts]) -> float:
    return float(facts[-1].waiting)


def _sampling_changes(facts: Sequence[_Facts]) -> float:
    rates = [one.sampling for one in facts]
    return float(sum(a != b and len(a) == len(b) for a, b in pairwise(rates)))


_MEASURES: Mapping[str, Callable[[Sequence[_Facts]], float]] = {
    "lost": _lost,
    "waiting": _waiting,
    "sampling_changes": _sampling_changes,
}
