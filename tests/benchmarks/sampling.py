"""What the samples of the flow log cost on the whole way: with and without them, in turns."""

from __future__ import annotations

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
            for name, found in costs.items():
                settings = NO_SAMPLES if name == "without" else {}
                first, whole = (
                    way_cost(
                        Appliance(
                            folder / f"{rollups:d}-{name}-{turn}-{so_long:.0f}",
                            rollups=rollups,
                            settings=settings,
                        ),
                        *(protocol, rate, so_long),
                    )
                    for so_long in (FILL_SECONDS, seconds)
                )
                found.append((whole.ns_since(Cost(0.0, 0)), whole.ns_since(first)))
        report[way] = {
            part: {name: min(turn[at] for turn in found) for name, found in costs.items()}
            for at, part in enumerate(("all_ns", "later_ns"))
        }
    return report
