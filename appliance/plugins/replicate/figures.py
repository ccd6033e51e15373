"""What the collector's replicator counted, as its status file says."""

from __future__ import annotations

import time
from pathlib import Path

from appliance.collector.status import STATUS_FILE, TAPS, read_status

NAME = "replication"
"""Of the tap."""

COUNTS = ("sent", "dropped", "failed", "refused", "own_source")
"""Of each target: datagrams, and how often its machine said that nobody listens."""

FRESH_SECONDS = 15.0
_KNOWN = (*COUNTS, "waiting_octets", "keeps_source")


def fresh_figures(data: Path) -> dict[str, dict[str, int]]:
    """Return counts by target; none where no collector runs, or it replicates nothing."""
    status = read_status(data / STATUS_FILE) or {}
    time_ms = status.get("time_ms")
    if not isinstance(time_ms, int) or time.time() - time_ms / 1000 > FRESH_SECONDS:
        return {}
    taps = status.get(TAPS)
    targets = taps.get(NAME) if isinstance(taps, dict) else None
    return {
        str(target): {name: counts[name] for name in _KNOWN if isinstance(counts.get(name), int)}
        for target, counts in (targets if isinstance(targets, dict) else {}).items()
        if isinstance(counts, dict)
    }
