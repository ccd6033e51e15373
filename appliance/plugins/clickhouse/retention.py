"""Old flows, sums and samples go by whole days: a partition is dropped, no row is looked at."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are literals.

from __future__ import annotations

from dataclasses import dataclass

from appliance.flowlog.samples.files import DAY_MS, HOUR_MS
from appliance.flowlog.samples.keeper import SampleLimits
from appliance.plugins.clickhouse.cluster import SYSTEM, Cluster, Node
from appliance.plugins.clickhouse.http import literal
from appliance.plugins.clickhouse.sampling import SampleRate
from appliance.plugins.clickhouse.schema import (
    DAY_SAMPLES,
    FLOWS,
    SAMPLES,
    SUMS,
    drop_partition_statement,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of the flow log, and how long.

    Attributes
    ----------
    flow_days, sum_days, sample_days
        Of flows and `samples`, of sums, and of `day_samples`; 0 for ever.
    hour_rows, day_rows
        So many flows of an hour `samples` have, and of a day `day_samples`; with 0 for any there
        are none.
    """

    flow_days: int = 0
    sum_days: int = 0
    sample_days: int = 0
    hour_rows: int = SampleLimits.hour_rows
    day_rows: int = SampleLimits.day_rows

    @property
    def days(self) -> dict[str, int]:
        """How many days each table keeps."""
        of_flows = dict.fromkeys((FLOWS, SAMPLES), self.flow_days)
        return {**of_flows, SUMS: self.sum_days, DAY_SAMPLES: self.sample_days}

    @property
    def rates(self) -> dict[str, SampleRate]:
        """How densely each table of samples is drawn; empty where there are none."""
        if not (self.hour_rows and self.day_rows):
            return {}
        hour = SampleRate(self.hour_rows, HOUR_MS)
        return {SAMPLES: hour, DAY_SAMPLES: SampleRate(self.day_rows, DAY_MS)}


def drop_old_days(cluster: Cluster, table: str, first_kept: int) -> int:
    """Drop the days before one, in each shard; return how many rows they had.

    Parameters
    ----------
    first_kept
        The first day that stays, since 1970, UTC.

    Raises
    ------
    StorageError
        A shard is away.
    """
    cluster.connect()

    def drop(node: Node) -> int:
        days = node.server.rows(
            "SELECT partition, sum(rows) FROM parts WHERE active"
            f" AND database = {literal(cluster.layout.database)}"
            f" AND table = {literal(cluster.layout.local(table))}"
            f" AND toUInt32OrZero(partition) < {first_kept} GROUP BY partition",
            database=SYSTEM,
        )
        for day, _ in days:
            statement = drop_partition_statement(cluster.layout, table, int(day))
            node.server.command(statement, database=SYSTEM)
        return sum(int(rows) for _, rows in days)

    return sum(cluster.on_shard(shard, drop) for shard in cluster.shards())
