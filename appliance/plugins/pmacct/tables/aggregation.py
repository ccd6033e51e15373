"""Aggregates: rows of the flow log summed up by the keys of a table, a block at a time.

An aggregate is an Arrow table with the key columns of `values`, the time bin and the sums; what is
added later is joined to it by the same keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog import Rows
from appliance.flows import RecordKind, octets_column
from appliance.plugins.pmacct.configuration.aggregates import INITIATOR_PACKETS, RESPONDER_OCTETS
from appliance.plugins.pmacct.maps.pre_tag_map import Tags
from appliance.plugins.pmacct.tables.history import bins
from appliance.plugins.pmacct.tables.plan import TablePlan
from appliance.plugins.pmacct.tables.row_selection import (
    flow_counts,
    resolve_rows,
    rows_of_plugin,
    tags_of,
    with_set_tos,
)
from appliance.plugins.pmacct.tables.values import (
    Value,
    column_of,
    key_columns,
)

BIN, OCTETS, PACKETS, FLOWS = "bin", "octets", "packets", "flows"
EARLIEST, LATEST = "earliest", "latest"
"""The earliest start and the latest end of the flows of a row, in milliseconds since 1970."""

FLAG_BITS = tuple(f"flag{bit}" for bit in range(8))
LARGEST_SUM = 1 << 60
"""No sum is larger; what would be stays there."""

_TCP = 6


def aggregate(rows: Rows, plan: TablePlan, grid: int, options: bool = False) -> Any:
    """Sum up rows of the flow log.

    Parameters
    ----------
    grid
        Where the grid of time bins starts.
    options
        The rows are options records: they count nothing.

    Returns
    -------
    pyarrow.Table
        One row a key, without chunks; None when no row is accounted.
    """
    resolved = resolve_rows(rows, plan)
    tags = tags_of(rows, resolved, plan)
    mask = rows_of_plugin(rows, plan, tags, options)
    if not np.any(mask):
        return None
    resolved = with_set_tos(resolved, tags)
    parts = [_aggregate(resolved, way, grid, options, tags, mask) for way in plan.ways]
    return join_aggregates(parts)


def _aggregate(
    rows: Rows, plan: TablePlan, grid: int, options: bool, tags: Tags | None, mask: Value
) -> Any:
    columns: dict[str, Value] = key_columns(rows, plan, tags)
    if plan.history is not None:
        columns[BIN] = bins(_seconds(rows, plan), grid, plan.history)
    columns.update(_counters(rows, plan, options))
    if plan.is_stitched:
        columns.update(_extremes(rows, plan))
    varying = {name: value for name, value in columns.items() if _varies(value)}
    table = pa.table({name: pa.array(v) for name, v in varying.items()} | _row_numbers(rows))
    if not np.all(mask):
        table = table.filter(pa.array(np.broadcast_to(mask, (rows.n_rows,))))
    summed = _sum_by_keys(table, _key_names(varying), columns)
    return _with_constants(summed, {n: v for n, v in columns.items() if n not in varying})


def join_aggregates(parts: list[Any]) -> Any:
    """Join aggregates of one plan."""
    if len(parts) == 1:
        return parts[0]
    table = pa.concat_tables(parts).combine_chunks()
    names = _key_names(dict.fromkeys(table.column_names))
    return _sum_by_keys(table, names, {}).select(parts[0].column_names)


def select_rows(table: Any, plan: TablePlan) -> Any:
    """Return the rows of a purge that are written (`sql_preprocess`), with their sums."""
    if not plan.preprocess.applies(len(table)):
        return table
    octets, packets = (table[name].to_numpy() for name in (OCTETS, PACKETS))
    flows = table[FLOWS].to_numpy() if FLOWS in table.column_names else np.zeros_like(octets)
    mask = plan.preprocess.mask(octets, packets, flows)
    for name, sums in zip((OCTETS, PACKETS), plan.preprocess.adjust(octets, packets), strict=True):
        table = table.set_column(table.column_names.index(name), name, pa.array(_clip(sums)))
    return table.filter(pa.array(mask))


def _key_names(columns: dict[str, Value]) -> list[str]:
    others = (OCTETS, PACKETS, FLOWS, EARLIEST, LATEST, *FLAG_BITS)
    return [name for name in columns if name not in others]


def _row_numbers(rows: Rows) -> dict[str, Any]:
    # Keeps the number of rows where no column varies.
    return {"rows": pa.array(np.broadcast_to(np.int8(0), (rows.n_rows,)))}


def _seconds(rows: Rows, plan: TablePlan) -> np.ndarray[Any, np.dtype[np.int64]]:
    arrival = np.asarray(column_of(rows, "collection_time_milliseconds"), np.int64)
    if not plan.arrival_time:
        start = np.asarray(column_of(rows, "flow_start_milliseconds"), np.int64)
        arrival = np.where(start > 0, start, arrival)
    return np.atleast_1d(arrival // 1000)


def _extremes(rows: Rows, plan: TablePlan) -> dict[str, Value]:
    """Return start and end of each flow; the second of its arrival where it tells none."""
    arrival = np.asarray(column_of(rows, "collection_time_milliseconds"), np.int64) // 1000 * 1000
    if plan.arrival_time:
        return {EARLIEST: arrival, LATEST: arrival}
    start, end = (
        np.asarray(column_of(rows, f"flow_{what}_milliseconds"), np.int64)
        for what in ("start", "end")
    )
    return {
        EARLIEST: np.where(start > 0, start, arrival),
        LATEST: np.where(end > 0, end, arrival),
    }


def _counters(rows: Rows, plan: TablePlan, options: bool) -> dict[str, Value]:
    if options:
        found: dict[str, Value] = {OCTETS: 0, PACKETS: 0}
        found |= {FLOWS: 0} if plan.has_flows else {}
        return found | (dict.fromkeys(FLAG_BITS, 0) if plan.has_flags else {})
    octets = np.asarray(column_of(rows, "octet_delta_count"))
    packets = np.asarray(column_of(rows, "packet_delta_count"))
    if plan.responder_octets:
        packets = _with_responder_octets(rows, packets)
    if plan.renormalize:
        told = np.asarray(column_of(rows, "sampling_rate"), np.float64)
        rate = np.maximum(plan.resolution.external_rate or told, 1.0)
        octets, packets = np.rint(octets * rate), np.rint(packets * rate)
    found = {OCTETS: _clip(octets), PACKETS: _clip(packets)}
    if plan.has_flows:
        found[FLOWS] = _clip(flow_counts(rows))
    if plan.has_flags:
        # Of NetFlow v5 nfacctd keeps the flags of TCP only, of v9 and IPFIX what was sent.
        kept = np.asarray(column_of(rows, "export_protocol_version")) != 5
        kept = kept | (np.asarray(column_of(rows, "protocol_identifier")) == _TCP)
        flags = np.where(kept, np.asarray(column_of(rows, "tcp_control_bits")), 0).astype(np.uint8)
        found |= {name: (flags >> bit) & 1 for bit, name in enumerate(FLAG_BITS)}
    return {name: v.item() if v.ndim == 0 else v for name, v in found.items()}


def _with_responder_octets(rows: Rows, packets: Any) -> Any:
    """Return packets; of a flow that counts none but its initiator's, the responder's octets."""
    initiator, responder = (
        np.asarray(column_of(rows, octets_column(0, element)))
        for element in (INITIATOR_PACKETS, RESPONDER_OCTETS)
    )
    traffic = np.asarray(column_of(rows, "record_kind")) == RecordKind.FLOW
    return np.where(traffic & (packets == initiator), responder, packets)


def _clip(values: Any) -> Any:
    return np.minimum(values, LARGEST_SUM).astype(np.int64)


def _varies(value: Value) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and len(value) > 1
    return isinstance(value, pa.Array | pa.ChunkedArray)


def _plain(value: Value) -> Any:
    """Return the one value of a column that does not vary."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)[0].item()
    return value.item() if isinstance(value, np.generic) else value


def _sum_by_keys(table: Any, keys: list[str], columns: dict[str, Value]) -> Any:
    """Group a table by its keys; sums of constants are taken by counting rows."""
    sums = [(n, "sum") for n in (OCTETS, PACKETS, FLOWS) if n in table.column_names]
    sums += [(n, "max") for n in (LATEST, *FLAG_BITS) if n in table.column_names]
    sums += [(n, "min") for n in (EARLIEST,) if n in table.column_names]
    constant = [n for n in (OCTETS, PACKETS, FLOWS) if n in columns and n not in table.column_names]
    counted = [("rows", "count")] if constant or not sums else []
    wide = _widen(table, [name for name, how in sums if how == "sum"])
    grouped = wide.group_by(keys).aggregate([*sums, *counted])
    renamed = {f"{name}_{how}": name for name, how in sums}
    grouped = grouped.rename_columns([renamed.get(n, n) for n in grouped.column_names])
    for name in constant:
        times = grouped["rows_count"].to_numpy().astype(object) * int(_plain(columns[name]))
        limited = [min(int(value), LARGEST_SUM) for value in times]
        grouped = grouped.append_column(name, pa.array(limited, pa.int64()))
    if counted:
        grouped = grouped.drop_columns(["rows_count"])
    return _narrow(grouped).combine_chunks()


def _widen(table: Any, names: list[str]) -> Any:
    """Sum as floats where whole numbers could overflow: such sums are cut off anyway."""
    for name in names:
        column = table[name].to_numpy()
        if len(column) and float(column.max()) * len(column) >= float(1 << 63):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(column.astype(np.float64)))
    return table


def _narrow(table: Any) -> Any:
    for name in (OCTETS, PACKETS, FLOWS):
        if name in table.column_names:
            values = np.minimum(table[name].to_numpy(), LARGEST_SUM).astype(np.int64)
            table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def _with_constants(table: Any, constants: dict[str, Value]) -> Any:
    for name, value in constants.items():
        if name in (OCTETS, PACKETS, FLOWS):
            continue
        plain = _plain(value)
        table = table.append_column(
            name, pa.repeat(pa.scalar(plain, _type(name, plain)), len(table))
        )
    return _order_columns(table)


def _type(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return pa.string()
    if name in FLAG_BITS:
        return pa.uint8()
    return pa.int64() if name in (BIN, EARLIEST, LATEST) else pa.uint64()


def _order_columns(table: Any) -> Any:
    """Bring columns into one order and type, whatever varied in the block."""
    names = sorted(name for name in table.column_names if name != "rows")
    columns = {}
    for name in names:
        column = table[name]
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        wanted = _type_of(name, column.type)
        columns[name] = column if column.type == wanted else column.cast(wanted, safe=False)
    return pa.table(columns)


def _type_of(name: str, found: Any) -> Any:
    if pa.types.is_string(found):
        return found
    if name in (OCTETS, PACKETS, FLOWS, BIN, EARLIEST, LATEST):
        return pa.int64()
    return pa.uint8() if name in FLAG_BITS else pa.uint64()
