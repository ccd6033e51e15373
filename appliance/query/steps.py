"""How long the bins of a series are when nobody says."""

from __future__ import annotations

USUAL_BINS = 200
DAY_MS = 86_400_000
STEPS_MS = tuple(
    1000 * seconds
    for seconds in (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)
)


def fitting_step_ms(length_ms: int) -> int:
    """Return the shortest usual step with which a range has at most some two hundred bins."""
    fitting = (step for step in STEPS_MS if length_ms / step <= USUAL_BINS)
    return next(fitting, -(-length_ms // (USUAL_BINS * DAY_MS)) * DAY_MS)
