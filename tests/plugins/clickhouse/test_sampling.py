"""The sample of a batch: always the same octets, no bias, errors that are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.flowlog import Cursor
from appliance.flowlog.reader import Span
from appliance.flowlog.samples.drawing import sizes
from appliance.flowlog.schema import rows_from_batch
from appliance.flows import V4_MAPPED, FlowBatch, RecordKind
from appliance.plugins.clickhouse.blocks import FlowPiece
from appliance.plugins.clickhouse.native import decode_blocks
from appliance.plugins.clickhouse.progress import Batch
from appliance.plugins.clickhouse.sampling import (
    Candidates,
    Drawn,
    SampleRate,
    batch_candidates,
    draw,
    sample_block,
)
from tests.plugins.clickhouse.world import START

N = 4000
MINUTE_MS = 60_000
DRAWS = 400
BATCH = Batch(7, "00000000deadbeef", "", Cursor(3, 0), Cursor(3, N), N, START // 86_400)


def piece_of(n: int = N, exporters: int = 3, **columns: Any) -> FlowPiece:
    """Return flows of a minute; some are much larger than others."""
    random = np.random.default_rng(n)
    batch = FlowBatch(
        n,
        {
            "collection_time_milliseconds": START * 1000 + np.arange(n) * MINUTE_MS // max(n, 1),
            "exporter_address_hi": np.zeros(n, np.uint64),
            "exporter_address_lo": random.integers(0, exporters, n).astype(np.uint64) | V4_MAPPED,
            "octet_delta_count": random.pareto(1.1, n).astype(np.uint64) * np.uint64(2000),
            "packet_delta_count": random.integers(1, 99, n).astype(np.uint64),
            "sampling_rate": np.full(n, 10.0),
            **columns,
        },
    )
    return FlowPiece([rows_from_batch(batch)], [Span(3, 0, n)])


def sizes_of(piece: FlowPiece) -> Any:
    octets, _ = piece.column("octet_delta_count")
    return sizes(octets, np.ones(piece.n_rows), np.full(piece.n_rows, 10.0))


def weights(drawn: Drawn, rank: int = 0) -> Any:
    """Return for how many flows each row stands that is read at a rank; 0 where it is not read."""
    of_all: Any = np.maximum(drawn.ratios.astype(float) * 2.0**rank, 1.0)
    return np.where(drawn.ranks >= rank, of_all, 0.0)


def test_block_when_made_again_of_other_pieces_then_the_same_octets():
    piece = piece_of(record_kind=np.arange(N, dtype=np.uint8) % 5 // 4)
    cut = FlowPiece([piece.pieces[0].slice(0, 1234), piece.pieces[0].slice(1234, N)], piece.spans)
    rate = SampleRate(500, MINUTE_MS)
    block = sample_block(batch_candidates(piece, BATCH), "one", BATCH, rate)
    assert sample_block(batch_candidates(cut, BATCH), "one", BATCH, rate) == block
    columns = decode_blocks(block.octets)
    marks = columns["sample_rank"].values == 255
    assert columns["drawn_from"].values[marks].tolist() == [N]
    assert columns["record_kind"].values[~marks].tolist() == [RecordKind.FLOW] * int((~marks).sum())
    assert 300 < (~marks).sum() < 750


@pytest.mark.parametrize("n", [0, 1])
def test_block_when_there_is_hardly_a_flow_then_a_mark_at_least(n: int):
    piece = piece_of(1, record_kind=np.full(1, 1 - n, np.uint8))
    candidates = batch_candidates(piece, BATCH)
    block = sample_block(candidates, "one", BATCH, SampleRate(60, MINUTE_MS))
    columns = decode_blocks(block.octets)
    assert len(columns["period"].values) == n + 1


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("rows", [900, 20])
def test_estimates_when_drawn_often_then_without_bias_and_errors_are_as_told(rank: int, rows: int):
    piece, random = piece_of(), np.random.default_rng(1)
    octets = piece.column("octet_delta_count")[0].astype(float)
    subset = random.random(N) < 0.4
    for values in (octets, np.ones(N)):
        true, estimates, variances = float(values[subset].sum()), [], []
        for seed in range(DRAWS):
            drawn = draw(Candidates.of(piece, seed), SampleRate(rows, MINUTE_MS))
            s = weights(drawn, rank) * subset[drawn.rows]
            x = values[drawn.rows]
            estimates.append(float((x * s).sum()))
            variances.append(float((x**2 * s * np.maximum(s - 1, 0)).sum()))
        spread = np.std(estimates)
        assert abs(np.mean(estimates) - true) < 4 * spread / np.sqrt(DRAWS)
        assert np.mean(variances) == pytest.approx(spread**2, rel=0.35)
        if rows > 100 and not rank:
            near = np.abs(np.array(estimates) - true) <= 1.96 * np.sqrt(variances)
            assert 0.9 < near.mean() <= 1


def test_sample_when_strata_are_unequal_then_each_has_its_share_and_the_whole_its_size():
    exporters = np.full(N, V4_MAPPED, np.uint64)
    exporters[:50] |= np.uint64(1)
    piece = piece_of(exporter_address_lo=exporters, octet_delta_count=np.full(N, 100, np.uint64))
    counts = [
        np.bincount((drawn.rows < 50).astype(int), minlength=2)
        for drawn in (
            draw(Candidates.of(piece, seed), SampleRate(200, MINUTE_MS)) for seed in range(50)
        )
    ]
    large, small = np.mean(counts, axis=0)
    assert large == pytest.approx(200, rel=0.1)
    # A quarter of all rows is the least of each of two strata: all of the small one's.
    assert small == 50


def test_sample_when_everything_fits_then_all_of_it_and_no_error():
    drawn = draw(Candidates.of(piece_of(), 1), SampleRate(10_000, MINUTE_MS))
    assert drawn.rows.tolist() == list(range(N))
    assert drawn.ratios.max() <= 1


def test_sample_when_few_flows_have_nearly_all_octets_then_these_and_no_fewer_rows():
    octets = np.full(N, 10, np.uint64)
    octets[:100] = 1 << 40
    piece = piece_of(exporters=1, octet_delta_count=octets)
    drawn = draw(Candidates.of(piece, 1), SampleRate(500, MINUTE_MS))
    assert set(range(100)) <= set(drawn.rows.tolist())
    assert len(drawn.rows) == pytest.approx(500, rel=0.2)
    assert sizes_of(piece)[drawn.rows].min() > 0
