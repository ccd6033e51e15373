"""Many bins at once are what each is by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.plugins.rollups.grouping import LARGEST_SUM, IntArray
from appliance.plugins.rollups.many_tops import merge_rows
from appliance.plugins.rollups.stored_tops import BinKey, BinRow
from appliance.plugins.rollups.tops import BY, OTHER, THRESHOLD, TopN, merge_tops, top_n_from_rows

EXPORTERS = (1, 2, 3, 4)
DAY = 86_400


def stored_bin(random: np.random.Generator, largest: int) -> list[Any]:
    """Rows of one bin: up to nine names, the rest and what was cut off."""

    def sums() -> list[int]:
        # Without two equal sums, of which either may be kept.
        return random.integers(0, largest, 3, endpoint=True).tolist()

    names = random.permutation(list("abcdefghi"))[: random.integers(0, 10)]
    rows: list[Any] = [(7, str(name), *sums()) for name in names]
    rows.append((OTHER, "", *sums()))
    return rows + [(THRESHOLD | by, "", *sums()) for by in BY]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(
    ("largest", "most"),
    # Sums that are cut off are equal, and of equal ones either may be kept.
    [(10**12, 2), (10**12, 100), (LARGEST_SUM, 100)],
)
def test_merged_when_of_many_exporters_then_as_each_by_itself(
    seed: int, largest: int, most: int
) -> None:
    random = np.random.default_rng(seed)
    rows: list[BinRow] = []
    parts: dict[int, list[TopN]] = {exporter: [] for exporter in EXPORTERS}
    for start in range(6):
        exporter = int(random.choice(EXPORTERS))
        own = stored_bin(random, largest)
        rows += [(exporter, 0, start, *row) for row in own]
        parts[exporter].append(top_n_from_rows(own))
    # One exporter was forgotten, another has a total and nothing stored by name.
    bins: dict[BinKey, IntArray] = {
        (exporter, 0, DAY): random.integers(0, largest, 3) for exporter in (1, 2, 3, 9)
    }
    expected = [
        (*key, *row)
        for key, total in bins.items()
        for row in merge_tops([*parts.get(key[0], ()), top_n_from_rows(())], most, total).rows()
    ]
    assert sorted(merge_rows(rows, bins, most)) == sorted(expected)


def test_merged_when_nothing_is_stored_then_all_of_the_total_is_other() -> None:
    rows = merge_rows([], {(5, 1, DAY): np.array([300, 3, 1])}, 100)
    assert (5, 1, DAY, OTHER, "", 300, 3, 1) in rows
    assert [row[5:] for row in rows if row[3] == THRESHOLD | BY[0]] == [(300, 3, 1)]
    assert merge_rows([], {}, 100) == []
