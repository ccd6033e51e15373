"""What the samples of the flow log cost on the whole way: with and without them, in turns."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import Appliance
from tests.benchmarks.enriching import Cost, way_cost

NO_SAMPLES = {"samples.hour_rows": "0"}
TURNS = 2
FILL_SECONDS = 10.0
"""So long is sent to learn what a start, an hour's first rows and its last writing cost: that comes
once an hour, however many flows there are."""


def sampling(folder: Path, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Return CPU nanoseconds a flow without samples and with them, of all that is sent and of what
    comes after the first seconds; the best of turns, which alternate, so that a machine that is
    slower for a while is so for both.
    """
    report: dict[str, Any] = {}
    for way, rollups in {"the whole way": False, "the whole way, with roll-ups": True}.items():
        costs: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
        for turn in range(TURNS):
            for name, turns in costs.items():
                subject = partial(
                    Appliance, rollups=rollups, settings=NO_SAMPLES if name == "without" else {}
                )
                own = folder / f"{rollups:d}-{name}-{turn}"
                first = way_cost(subject(own / "first"), protocol, rate, FILL_SECONDS)
                whole = way_cost(subject(own / "whole"), protocol, rate, seconds)
                turns.append((whole.ns_since(Cost(0.0, 0)), whole.ns_since(first)))
        report[way] = {
            part: {name: min(turn[at] for turn in turns) for name, turns in costs.items()}
            for at, part in enumerate(("all_ns", "later_ns"))
        }
    return report
