"""The 95th percentile against tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.plugins.reports.billing import Bill, bill_of, percentile_95

TABLE = [
    # Bins of an hour and forty minutes: one of twenty is left out, the next one counts.
    ([10] * 19 + [900], 10),
    ([10] * 18 + [500, 900], 500),
    (list(range(1, 21)), 19),
    # A day has 288: the 14 highest are left out (273.6 is bin 274 from below).
    ([1] * 273 + [7] + [99] * 14, 7),
    ([1] * 274 + [99] * 14, 1),
    # Thirty days have 8640: 432, which are 36 hours, are free.
    ([5] * 8208 + [1000] * 432, 5),
    ([5] * 8207 + [1000] * 433, 1000),
    ([42], 42),
]


@pytest.mark.parametrize(("bins", "expected"), TABLE)
def test_percentile_when_of_a_hand_made_table_then_as_providers_bill(
    bins: list[int], expected: int
) -> None:
    shuffled = np.random.default_rng(1).permutation(np.array(bins, float))
    assert percentile_95(shuffled) == expected


def test_bill_when_both_directions_differ_then_each_alone_and_the_larger_counts() -> None:
    # Peaks of both directions at other times: added up first, the bill would be 110.
    into, out = np.full(20, 10.0), np.full(20, 20.0)
    into[:2], out[2:4] = 90, 80
    assert bill_of(into, out) == Bill(90, 80, 90, "in", 20)
    assert bill_of(out, into) == Bill(80, 90, 90, "out", 20)
    assert bill_of(np.zeros(0), np.zeros(0)) == Bill(None, None, None, "", 0)
