"""The kernel that reads numbers of Data Records against its twin in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decoding.records.fixed_records import FixedRecords, fixed_records
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.decoding.templates.template import FieldSpecifier
from appliance.native import library
from appliance.native.records import read_numbers

pytestmark = pytest.mark.skipif(not library.IS_AVAILABLE, reason="no C compiler was at hand")

SIZE = 31
WIDTHS = (1, 2, 4, 8, 16)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=5),
    st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=7),
    st.randoms(use_true_random=False),
)
def test_numbers_when_of_any_sets_then_as_numpy_reads_them(
    sets: list[tuple[int, int]], widths: list[int], random: Any
) -> None:
    fields = tuple(FieldSpecifier(number, width) for number, width in enumerate(widths, 1))
    plan, size = DecodePlan(9, fields, 0, False), sum(widths)
    octets, starts, lengths = bytearray(), [], []
    for gap, n_records in sets:
        octets += random.randbytes(gap)
        starts.append(len(octets))
        lengths.append(n_records * size + gap % size)
        octets += random.randbytes(lengths[-1])
    order = random.sample(range(len(sets)), len(sets))
    places = (np.array([one[at] for at in order], np.int64) for one in (starts, lengths))
    found = fixed_records(plan, np.frombuffer(bytes(octets), np.uint8), *places)[0]
    for field in random.sample(range(len(fields)), len(fields)):
        by_numpy = read_by_numpy(found, field)
        assert found.unsigned(field).dtype == by_numpy.dtype
        np.testing.assert_array_equal(found.unsigned(field), by_numpy)


def read_by_numpy(records: FixedRecords, field: int) -> Any:
    """Read a field of records in numpy alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(library, "IS_AVAILABLE", False)
        fresh = FixedRecords(records.plan, records._flat, records._starts, records._counts)
        return fresh.unsigned(field)


@pytest.mark.parametrize(
    ("start", "count", "field"),
    [(0, 4, (0, 4)), (70, 1, (0, 4)), (-1, 1, (0, 4)), (0, -1, (0, 4)), (0, 1, (28, 4))],
)
def test_numbers_when_they_would_lie_elsewhere_then_refused(
    start: int, count: int, field: tuple[int, int]
) -> None:
    flat = np.zeros(100, np.uint8)
    with pytest.raises(IndexError):
        read_numbers(flat, np.array([start]), np.array([count]), SIZE, [field])


def test_numbers_when_read_then_nobody_writes_into_what_others_have() -> None:
    plan = DecodePlan(9, (FieldSpecifier(1, 4),), 0, False)
    found, _ = fixed_records(plan, np.zeros(8, np.uint8), np.array([0]), np.array([8]))
    with pytest.raises(ValueError, match="read-only"):
        found.unsigned(0)[0] = 1
