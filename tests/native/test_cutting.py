"""Which sums are large: the kernel in C next to its twin in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from appliance.native.cutting import count_large, part_large
from appliance.native.library import IS_AVAILABLE
from appliance.plugins.rollups.cutting import count_in_numpy, part_in_numpy
from appliance.plugins.rollups.grouping import LARGEST_SUM

pytestmark = pytest.mark.skipif(not IS_AVAILABLE, reason="no kernels were built")

CELLS = 4
sums_of_rows = strategies.integers(0, 4) | strategies.sampled_from((LARGEST_SUM - 1, LARGEST_SUM))


@settings(deadline=None)
@given(strategies.data(), strategies.integers(0, 30))
def test_rows_when_parted_then_as_in_numpy(data: strategies.DataObject, n_rows: int) -> None:
    """Counts, places of large rows and of others, and the largest of these."""

    def drawn(values: strategies.SearchStrategy[int], *shape: int) -> np.ndarray:
        n = int(np.prod(shape))
        numbers = data.draw(strategies.lists(values, min_size=n, max_size=n))
        return np.array(numbers, np.int64).reshape(shape)

    sums, thresholds = drawn(sums_of_rows, 3, n_rows), drawn(sums_of_rows, CELLS, 3)
    cells = drawn(strategies.integers(0, CELLS - 1), n_rows).astype(np.uint32)
    assert (
        count_large(sums, cells, thresholds).tolist()
        == count_in_numpy(sums, cells, thresholds).tolist()
    )
    for one, other in zip(
        part_large(sums, cells, thresholds), part_in_numpy(sums, cells, thresholds), strict=True
    ):
        assert one.tolist() == other.tolist()
