"""The tables in ClickHouse, as statements: for old and current servers, for one and for a cluster.

`flows` has a row for each flow of the flow log, `sums` the sums of each minute, `samples` some
flows of each hour and `day_samples` fewer of each day (see `sampling`), `batches` how far each
collector is, `templates`, `sampling` and `applications` what its exporters told it, for others. In
a cluster rows are in `flows_local`, `sums_local` and so on, replicated in each shard, and `flows`
and `sums` are over all shards; the others are the same on every server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from appliance.flows import Column, columns_of_log
from appliance.plugins.clickhouse.http import identifier, literal

SHARDS, PARTS = "shards", "parts"
"""In a cluster: what `system.clusters` and `system.parts` say on one server of every shard."""

FLOWS, SUMS, BATCHES, TEMPLATES = "flows", "sums", "batches", "templates"
SAMPLING, APPLICATIONS = "sampling", "applications"
SAMPLES, DAY_SAMPLES = "samples", "day_samples"
TIME_COLUMNS = {FLOWS: "period", SUMS: "minute", SAMPLES: "period", DAY_SAMPLES: "period"}
"""Of the tables that have rows of batches: the column by which days are told apart."""

EVERYWHERE = frozenset((BATCHES, TEMPLATES, SAMPLING, APPLICATIONS))
"""In a cluster every server has the whole of these."""

LOCAL = "_local"
PERIOD_SECONDS = 300
"""Rows are in order of these periods, so that a question about an hour reads little else."""

DAY_SECONDS = 86_400
FIRST_CURRENT_VERSION = (20, 3)
DEDUPLICATED_BLOCKS = 10_000
"""So many blocks of a table and shard are known to ZooKeeper: a retry of one of them is no other.
The default, 100, is a minute of a busy cluster."""

ALWAYS_THERE = frozenset(
    ("collection_time_milliseconds", "exporter_address_hi", "exporter_address_lo")
)
"""Columns that every row has; all others may be NULL."""

SUM_KEYS = (
    "exporter_address_hi",
    "exporter_address_lo",
    "protocol_identifier",
    "flow_direction",
    "ingress_interface",
    "egress_interface",
)
"""What `sums` are by, beside minute and collector; the column's `absent` value where a flow has
none."""

_TYPES = {"u1": "UInt8", "u2": "UInt16", "u4": "UInt32", "u8": "UInt64", "i8": "Int64"}
_TYPES |= {"f8": "Float64", "O": "String"}
_FIRST_COLUMNS = (
    ("collector", "String"),
    ("segment", "UInt64"),
    ("row", "UInt32"),
    ("batch", "UInt64"),
    ("period", "DateTime"),
)
MARK_RANK = 255
"""The rank of rows in samples that are no flows: they mark a batch, and say how many flows of a
period (`drawn_from`) it was drawn from."""

RANK, RATIO, DRAWN_FROM = "sample_rank", "sample_ratio", "drawn_from"
_FIRST_OF_SAMPLES = (
    ("collector", "String"),
    ("batch", "UInt64"),
    ("period", "DateTime"),
    (RANK, "UInt8"),
    (RATIO, "Float32"),
    (DRAWN_FROM, "UInt64"),
)
_SUM_MEASURES = ("octets", "packets", "flows", "rows", "markers")
_BATCH_COLUMNS = (
    ("collector", "String"),
    ("batch", "UInt64"),
    ("log", "String"),
    ("shard", "String"),
    ("first_segment", "UInt64"),
    ("first_row", "UInt64"),
    ("end_segment", "UInt64"),
    ("end_row", "UInt64"),
    ("rows", "UInt64"),
    ("day", "UInt32"),
    ("written_at", "DateTime"),
)
BODY_COLUMNS = (("collector", "String"), ("written_at", "DateTime"), ("body", "String"))
"""Of what collectors tell each other, as JSON."""

_SEARCHED = ("source_address_lo", "destination_address_lo")


@dataclass(frozen=True, slots=True)
class Layout:
    """How tables are made.

    Attributes
    ----------
    cluster
        Its name in the servers' configuration; empty: a single server.
    is_current
        Whether the server knows codecs and indexes of columns; 18.16 does not.
    """

    database: str
    cluster: str = ""
    is_current: bool = False

    def local(self, table: str) -> str:
        """Return the table that rows of one shard are inserted into."""
        return table + LOCAL if self.cluster and table not in EVERYWHERE else table


def is_current(version: str) -> bool:
    """Tell whether a server of this version knows codecs and indexes of columns."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= FIRST_CURRENT_VERSION


def column_type(column: Column) -> str:
    """Return the type of a column of the flow log."""
    bare = _TYPES["O" if column.dtype.kind == "O" else column.dtype.str[1:]]
    return bare if column.name in ALWAYS_THERE else f"Nullable({bare})"


def flow_columns() -> list[tuple[str, str]]:
    """Return name and type of each column of `flows`, the flow log's last."""
    return [*_FIRST_COLUMNS, *_columns_of_log()]


def sample_columns() -> list[tuple[str, str]]:
    """Return name and type of each column of `samples` and `day_samples`, the flow log's last."""
    return [*_FIRST_OF_SAMPLES, *_columns_of_log()]


def _columns_of_log() -> list[tuple[str, str]]:
    return [(column.name, column_type(column)) for column in columns_of_log(False)]


GROWING: Mapping[str, Callable[[], list[tuple[str, str]]]] = {
    FLOWS: flow_columns,
    SAMPLES: sample_columns,
    DAY_SAMPLES: sample_columns,
}
"""Tables with the columns of the flow log, to which those of plugins are added; and all of these
columns."""


def sum_columns() -> list[tuple[str, str]]:
    """Return name and type of each column of `sums`."""
    kinds = {column.name: column_type(column) for column in columns_of_log(False)}
    keys = [(name, kinds[name].removeprefix("Nullable(").rstrip(")")) for name in SUM_KEYS]
    first = [("collector", "String"), ("minute", "DateTime"), ("batch", "UInt64")]
    return [*first, *keys, *((name, "UInt64") for name in _SUM_MEASURES)]


def batch_columns() -> list[tuple[str, str]]:
    """Return name and type of each column of `batches`."""
    return list(_BATCH_COLUMNS)


def create_statements(
    layout: Layout, columns: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> list[str]:
    """Return what makes database and tables where they are missing; run it on every server.

    Parameters
    ----------
    columns
        Of `GROWING`, as other servers have them, as a replica must begin with the same; where
        there are none, ours.
    """
    there = columns or {}
    days = f"intDiv(toUInt32({{}}), {DAY_SECONDS})"
    source = "ifNull(source_address_lo, 0)"
    return [
        f"CREATE DATABASE IF NOT EXISTS {identifier(layout.database)}",
        *_table(
            layout,
            FLOWS,
            there.get(FLOWS) or flow_columns(),
            "MergeTree()",
            days.format("period"),
            ("period", "exporter_address_lo", source, "collector", "segment", "row"),
        ),
        *_table(
            layout,
            SUMS,
            sum_columns(),
            f"SummingMergeTree(({', '.join(_SUM_MEASURES)}))",
            days.format("minute"),
            ("minute", *SUM_KEYS, "collector", "batch"),
        ),
        *(
            statement
            for table in (SAMPLES, DAY_SAMPLES)
            for statement in _table(
                layout,
                table,
                there.get(table) or sample_columns(),
                "MergeTree()",
                days.format("period"),
                # A thin sample is at the end of each part.
                (RANK, "period", "exporter_address_lo", source, "collector", "batch"),
            )
        ),
        # Of each collector the newest batch is all that is asked for.
        *_table(layout, BATCHES, batch_columns(), "ReplacingMergeTree(batch)", "", ("collector",)),
        *_body_table(layout, TEMPLATES),
        *_body_table(layout, SAMPLING),
        *_body_table(layout, APPLICATIONS),
        *_system_tables(layout),
    ]


def _body_table(layout: Layout, table: str) -> list[str]:
    engine = "ReplacingMergeTree(written_at)"
    return _table(layout, table, BODY_COLUMNS, engine, "", ("collector",))


def _system_tables(layout: Layout) -> list[str]:
    """Return what makes `shards` and `parts`.

    The function `cluster()` does not do: 18.16 asks the first shard for columns, even a dead one.
    """
    if not layout.cluster:
        return []
    columns = {
        SHARDS: "cluster String, shard_num UInt32, is_local UInt8",
        PARTS: "database String, `table` String, partition String, active UInt8",
    }
    sources = {SHARDS: "clusters", PARTS: "parts"}
    return [
        f"CREATE TABLE IF NOT EXISTS {_named(layout, table)} ({columns[table]})"
        f" ENGINE = Distributed({literal(layout.cluster)}, 'system', {literal(sources[table])})"
        for table in columns
    ]


def add_column_statements(
    layout: Layout, table: str, missing: Sequence[tuple[str, str]]
) -> list[str]:
    """Return what adds columns of plugins that came later to a table, or its local one."""
    return [
        f"ALTER TABLE {_named(layout, table)} ADD COLUMN {_column(layout, table, name, kind)}"
        for name, kind in missing
    ]


def drop_partition_statement(layout: Layout, table: str, day: int) -> str:
    """Return what deletes a whole day (since 1970, UTC) of a shard."""
    return f"ALTER TABLE {_named(layout, layout.local(table))} DROP PARTITION {day}"


def _table(
    layout: Layout,
    table: str,
    columns: Sequence[tuple[str, str]],
    engine: str,
    partition: str,
    order: Sequence[str],
) -> list[str]:
    local = layout.local(table)
    listed = [_column(layout, local, name, kind) for name, kind in columns]
    if table == FLOWS and layout.is_current:
        listed += [
            f"INDEX {name}_index {name} TYPE bloom_filter(0.01) GRANULARITY 1" for name in _SEARCHED
        ]
    partitioned = f" PARTITION BY {partition}" if partition else ""
    statements = [
        f"CREATE TABLE IF NOT EXISTS {_named(layout, local)} ({', '.join(listed)})"
        f" ENGINE = {_engine(layout, table, engine)}{partitioned} ORDER BY ({', '.join(order)})"
        f"{_settings(layout)}"
    ]
    if local != table:
        bare = ", ".join(_column(layout, table, name, kind) for name, kind in columns)
        place = ", ".join(map(literal, (layout.cluster, layout.database, local)))
        statements.append(
            f"CREATE TABLE IF NOT EXISTS {_named(layout, table)} ({bare})"
            f" ENGINE = Distributed({place})"
        )
    return statements


def _engine(layout: Layout, table: str, engine: str) -> str:
    if not layout.cluster:
        return engine
    kind, _, rest = engine.partition("(")
    # One group of replicas, whatever the shard, for what every server has the whole of.
    folder, replica = (
        ("all", "{shard}-{replica}") if table in EVERYWHERE else ("{shard}", "{replica}")
    )
    path = f"/clickhouse/tables/{folder}/{layout.database}/{table}"
    arguments = ", ".join(part for part in (f"'{path}'", f"'{replica}'", rest[:-1]) if part)
    return f"Replicated{kind}({arguments})"


def _settings(layout: Layout) -> str:
    values = ["index_granularity = 8192"]
    if layout.cluster:
        values.append(f"replicated_deduplication_window = {DEDUPLICATED_BLOCKS}")
    elif layout.is_current:
        values.append("non_replicated_deduplication_window = 100")
    return f" SETTINGS {', '.join(values)}"


def _column(layout: Layout, table: str, name: str, kind: str) -> str:
    codec = ""
    is_stored = not (layout.cluster and table in TIME_COLUMNS)
    if layout.is_current and is_stored:
        codec = " CODEC(Delta, ZSTD(1))" if name in _RISING else " CODEC(ZSTD(1))"
    return f"{identifier(name)} {kind}{codec}"


_RISING = ("collection_time_milliseconds", "period", "minute", "segment", "batch")


def _named(layout: Layout, table: str) -> str:
    return f"{identifier(layout.database)}.{identifier(table)}"
