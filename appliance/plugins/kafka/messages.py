"""Rows of the flow log as messages: each an Arrow IPC stream of some rows, whole in itself.

Columns are those of the flow log under their names, what a flow does not carry is null; `segment`
and `row` say where a row is in the collector's log, so that a reader knows one that comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog.reader import Followed

MESSAGE_ROWS = 2_000
LARGEST_MESSAGE = 900_000
"""Octets: brokers refuse more than a million unless they are told otherwise."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def messages_of(followed: Followed) -> Iterator[bytes]:
    """Yield the messages of rows, in order."""
    segments = np.repeat(
        np.array([span.segment for span in followed.spans], np.uint64),
        [span.n_rows for span in followed.spans],
    )
    places = [np.arange(s.first, s.first + s.n_rows, dtype=np.uint32) for s in followed.spans]
    rows = np.concatenate(places) if places else np.zeros(0, np.uint32)
    first = 0
    for piece in followed.rows:
        end = first + piece.n_rows
        table = piece.table(None)
        table = table.append_column("segment", pa.array(segments[first:end]))
        table = table.append_column("row", pa.array(rows[first:end]))
        first = end
        for start in range(0, table.num_rows, MESSAGE_ROWS):
            yield from _encoded(table.slice(start, MESSAGE_ROWS))


def _encoded(table: Any) -> Iterator[bytes]:
    """Yield a table as one message, or as several where it is too large."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    octets = sink.getvalue().to_pybytes()
    if len(octets) <= LARGEST_MESSAGE or table.num_rows == 1:
        yield octets
        return
    half = table.num_rows // 2
    yield from _encoded(table.slice(0, half))
    yield from _encoded(table.slice(half))
