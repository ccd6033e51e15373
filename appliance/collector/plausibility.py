"""Records that claim more than any interface can carry: kept in the log, left out of every sum.

Counters come over UDP from whoever sends, and one record can claim 2^64 octets. What no interface
of the site could have carried in the time of the flow is no traffic: it gets a kind of its own, so
that roll-ups, tables, searches and API leave it out alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flows import FlowBatch, RecordKind

LARGEST_COUNT = 1 << 48
"""Octets or packets, scaled by sampling, that one record can count at the most."""

SLACK_MS = 1000
"""Added to each duration: times are often of whole seconds, or only those of the export."""


def with_implausible_marked(batch: FlowBatch, fastest_bits_per_second: float) -> FlowBatch:
    """Return the batch with the kind `IMPLAUSIBLE` where a flow claims too much.

    Parameters
    ----------
    fastest_bits_per_second
        Of the fastest interface that exporters have.
    """
    implausible = implausible_rows(batch, fastest_bits_per_second)
    if implausible is None or not implausible.any():
        return batch
    kind = np.where(implausible, np.uint8(RecordKind.IMPLAUSIBLE), batch.column("record_kind"))
    return FlowBatch(
        batch.n_records,
        {**batch.columns, "record_kind": kind},
        batch.octets,
        batch.options,
        batch.datagrams,
        batch.origin,
    )


def implausible_rows(batch: FlowBatch, fastest_bits_per_second: float) -> NDArray[np.bool_] | None:
    """Return which flows claim more than they can have carried, shape (n_records,).

    None: surely none does; the usual case, told from the largest values alone.
    """
    octets_per_ms = fastest_bits_per_second / 8000
    counts = [
        values
        for name in ("octet_delta_count", "packet_delta_count")
        if (values := batch.columns.get(name)) is not None and len(values)
    ]
    if batch.options or not counts:
        return None
    rates = _rates(batch)
    largest = max(int(values.max()) for values in counts) * float(rates.max())
    if largest <= min(octets_per_ms * SLACK_MS, LARGEST_COUNT):
        return None
    start, end = (batch.column(f"flow_{name}_milliseconds") for name in ("start", "end"))
    duration_ms = np.maximum(end - start, 0).astype(np.float64)
    most = np.minimum((duration_ms + SLACK_MS) * octets_per_ms, LARGEST_COUNT)
    traffic = batch.column("record_kind") == RecordKind.FLOW
    # Of a sampled flow only what was seen is known to have passed; the rest is an estimate.
    over = [(values > most) | (values * rates > LARGEST_COUNT) for values in counts]
    return np.asarray(traffic & np.logical_or.reduce(over), np.bool_)


def _rates(batch: FlowBatch) -> NDArray[Any]:
    rates = batch.columns.get("sampling_rate")
    if rates is None:
        return np.ones(1)
    few = rates[:1] if rates.strides == (0,) else rates
    return np.where((few >= 1) & np.isfinite(few), few, 1.0)
