"""Sums over any flows of a sample: without bias, and as exact as they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from appliance.flowlog.samples.drawing import SampleSize, sizes, uniform
from appliance.flowlog.samples.period import PeriodSample
from appliance.flowlog.schema import Rows, rows_from_batch
from appliance.flows import AnyArray, FlowBatch

N_FLOWS, N_DRAWS = 20_000, 200
SIZE = SampleSize(1000)
EXPORTERS = np.array([0xC0000201, 0xC0000202, 0xC0000203], "u8")


def traffic() -> FlowBatch:
    """Return flows as networks have them: a few large ones, many small, one quiet exporter."""
    random = np.random.default_rng(7)
    octets = (random.pareto(1.1, N_FLOWS) * 500 + 40).astype("u8")
    exporter = EXPORTERS[random.choice(3, N_FLOWS, p=[0.7, 0.295, 0.005])]
    return FlowBatch(
        N_FLOWS,
        {
            "collection_time_milliseconds": np.full(N_FLOWS, 1_700_000_000_000, "i8"),
            "exporter_address_hi": np.zeros(N_FLOWS, "u8"),
            "exporter_address_lo": exporter,
            "source_address_lo": random.integers(0, 50, N_FLOWS).astype("u8"),
            "octet_delta_count": octets,
            "packet_delta_count": octets // 800 + 1,
            "sampling_rate": np.where(exporter == EXPORTERS[1], 10.0, 1.0),
        },
    )


def places(rows: Rows, first: int = 0) -> AnyArray:
    return np.arange(first, first + rows.n_rows, dtype=np.uint64)


def drawn(batch: FlowBatch, seed: int, step: int = N_FLOWS) -> Any:
    """Return a sample that was drawn in steps of so many rows."""
    rows, sample = rows_from_batch(batch), PeriodSample(SIZE)
    for start in range(0, batch.n_records, step):
        piece = rows.slice(start, start + step)
        sample.add(piece, places(piece, start), seed)
    assert sample.n_flows == batch.n_records
    return sample.table()


@pytest.fixture(scope="module")
def samples() -> list[Any]:
    batch = traffic()
    return [drawn(batch, seed * 0x5DEECE66D, step=3000) for seed in range(1, N_DRAWS + 1)]


SUBSETS: dict[str, Callable[[Any], AnyArray]] = {
    "everything": lambda column: column("octet_delta_count") >= 0,
    "a host": lambda column: column("source_address_lo") == 3,
    "small flows": lambda column: column("octet_delta_count") < 200,
    "a quiet exporter": lambda column: column("exporter_address_lo") == EXPORTERS[2],
}
MEASURES: dict[str, Callable[[Any], AnyArray]] = {
    "octets": lambda column: column("octet_delta_count") * column("sampling_rate"),
    "packets": lambda column: column("packet_delta_count") * column("sampling_rate"),
    "flows": lambda column: np.ones(len(column("sampling_rate"))),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("subset", SUBSETS)
def test_sample_when_drawn_often_then_sums_have_no_bias_and_their_error_is_as_told(
    samples: list[Any], subset: str, measure: str
) -> None:
    batch = traffic()
    is_in = SUBSETS[subset](batch.column)
    true = MEASURES[measure](batch.column)[is_in].sum()
    estimates, errors = [], []
    for table in samples:
        column = {name: table.column(name).to_numpy() for name in table.schema.names}
        chosen = SUBSETS[subset](column.__getitem__)
        x, s = MEASURES[measure](column.__getitem__)[chosen], column["sample_weight"][chosen]
        estimates.append((x * s).sum())
        errors.append(np.sqrt((x**2 * s * (s - 1)).sum()))
    standard_error = np.std(estimates) / np.sqrt(N_DRAWS)
    assert abs(np.mean(estimates) - true) <= 4 * standard_error + 1e-9 * true
    within = np.abs(np.array(estimates) - true) <= 1.96 * np.array(errors) + 1e-9 * true
    assert within.mean() > 0.85
    assert np.mean(np.square(errors)) == pytest.approx(np.var(estimates), rel=0.5, abs=1e-6)


def test_sample_when_drawn_at_once_or_in_steps_then_as_large_and_nearly_the_same() -> None:
    batch = traffic()
    at_once, in_steps = (drawn(batch, 99, step) for step in (N_FLOWS, 500))
    one, other = (set(t.column("sample_priority").to_pylist()) for t in (at_once, in_steps))
    assert len(one & other) > 0.98 * len(one)
    assert SIZE.rows <= at_once.num_rows <= SIZE.rows * 3 // 2


def test_sample_when_exporters_come_and_go_then_each_has_flows_and_rows_are_whole() -> None:
    batch = traffic()
    exporters = np.arange(N_FLOWS, dtype="u8") // 25  # 800 of them, one after the other
    batch.columns["exporter_address_lo"] = exporters
    batch.columns["flow_start_milliseconds"] = np.arange(N_FLOWS)
    table = drawn(batch, 17, 700)
    assert set(table.column("exporter_address_lo").to_pylist()) == set(exporters.tolist())
    assert SIZE.rows <= table.num_rows <= 2 * SIZE.rows
    starts = table.column("flow_start_milliseconds").to_pylist()
    kept = table.column("octet_delta_count").to_numpy()
    assert (kept == batch.columns["octet_delta_count"][starts]).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_sample_when_an_exporter_sends_no_flows_then_it_takes_no_room(
    order: tuple[int, ...],
) -> None:
    def piece(exporter: int, n_rows: int, octets: int, kind: int = 0) -> Rows:
        constants = {"exporter_address_lo": exporter, "record_kind": kind}
        return Rows(n_rows, {}, {**constants, "octet_delta_count": octets})

    pieces = (piece(9, 5, 0, kind=1), piece(1, 1000, 10**9), piece(2, 100, 40))
    sample, first = PeriodSample(SampleSize(20)), 0
    for place in order:
        sample.add(pieces[place], range(first, first + pieces[place].n_rows), 4711)
        first += pieces[place].n_rows
    exporters = sample.table().column("exporter_address_lo").to_pylist()
    assert exporters.count(2) == SampleSize(20).least(2) == 5


def test_sample_when_there_are_fewer_flows_then_all_are_kept_and_stand_for_themselves() -> None:
    batch = traffic()
    table = drawn(FlowBatch(900, {n: c[:900] for n, c in batch.columns.items()}), 5)
    assert table.num_rows == 900
    assert set(table.column("sample_weight").to_pylist()) == {1.0}


def test_sample_when_records_are_no_flows_then_left_out() -> None:
    batch = traffic()
    batch.columns["record_kind"] = np.arange(N_FLOWS, dtype="u1") % 2
    rows, sample = rows_from_batch(batch), PeriodSample(SIZE)
    sample.add(rows, places(rows), 1)
    assert sample.n_flows == N_FLOWS // 2
    assert not any(sample.table().column("record_kind").to_pylist())


def test_uniform_when_places_follow_each_other_then_spread_over_the_whole_range() -> None:
    numbers = uniform(np.arange(100_000, dtype=np.uint64), 12345)
    assert numbers.min() > 0
    assert numbers.max() <= 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert np.abs(counts - 5000).max() < 350
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02


def test_sizes_when_a_rate_is_none_then_it_counts_as_one() -> None:
    octets, flows, rates = np.array([100, 100]), np.array([1, 0]), np.array([0.0, 10.0])
    assert sizes(octets, flows, rates).tolist() == [5100.0, 6000.0]
