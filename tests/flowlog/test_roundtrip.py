"""Any batches come back equal from the journal, from sealed and from merged files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.flowlog import seal
from appliance.flows import COLUMN, FlowBatch, columns_of_log, octets_column

PRIMITIVES = ((0, 95), (9, 12235))
OCTETS = [octets_column(*primitive) for primitive in PRIMITIVES]


def values_of(name: str) -> st.SearchStrategy[Any]:
    dtype = COLUMN[name].dtype
    if dtype.kind == "O":
        return st.sampled_from(["", "a", "http/2", "ü" * 40, 'x"\\\n'])
    if dtype.kind == "f":
        return st.sampled_from([0.0, 1.0, 512.0, 1e300, 0.1])
    limits = np.iinfo(dtype)
    few = st.sampled_from([0, 1, 6, 17, 255 if limits.max > 254 else 1])
    return few | st.integers(int(limits.min), int(limits.max))


@st.composite
def batches(draw: st.DrawFn) -> FlowBatch:
    options = draw(st.booleans())
    n = draw(st.sampled_from([1, 2, 3, 8, 17, 40]))
    names = [column.name for column in columns_of_log(options)]
    columns: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=12)):
        dtype = COLUMN[name].dtype
        if draw(st.booleans()):
            columns[name] = np.broadcast_to(np.array(draw(values_of(name)), dtype), (n,))
        else:
            drawn = draw(st.lists(values_of(name), min_size=n, max_size=n))
            columns[name] = np.array([*drawn, None], object)[:-1].astype(dtype)
    octets: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(OCTETS), unique=True)):
        if draw(st.booleans()):
            octets[name] = np.array([draw(st.binary(min_size=4, max_size=4))] * n, "V4")
        else:
            drawn = draw(st.lists(st.binary(max_size=9), min_size=n, max_size=n))
            octets[name] = np.array([*drawn, None], object)[:-1]
    return FlowBatch(n, columns, octets, options)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(groups=st.lists(st.lists(batches(), min_size=1, max_size=5), min_size=1, max_size=6))
@pytest.mark.parametrize("copy_rows", [1, 100_000])
def test_any_batches_when_written_sealed_and_merged_then_come_back_equal(
    copy_rows: int, groups: list[list[FlowBatch]], new_log: Any, records: Any
) -> None:
    log = new_log()
    writer = log.writer(PRIMITIVES)
    for group in groups:
        for batch in group:
            writer.append(batch)
        assert writer.flush({}, log.now_ms) == 0
        log.now_ms += 61_000
        writer.roll_if_due(log.now_ms)
    writer.close(log.now_ms)
    everything = [batch for group in groups for batch in group]
    expected = [
        sorted(records(b for b in everything if b.options == options)) for options in (False, True)
    ]

    def assert_all_there() -> None:
        for options in (False, True):
            assert sorted(records(log.read(options))) == expected[options]

    assert_all_there()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "COPY_ROWS", copy_rows)
        log.maintain()
        assert not [name for name in log.files() if "parquet" not in name]
        assert_all_there()
        log.maintain(10 * 3_600_000)
        assert_all_there()
