"""Follows the flow log into ClickHouse, so that each row is there once, whatever dies when.

1. The next rows are cut off the log: a batch. It is written down (`progress`) with its place in the
   log and the shard it goes to.
2. Its samples are inserted, its rows, then their sums, each as one block, which a server stores
   whole or not. Samples come first, so that no flow is there that they are not drawn from.
3. The next batch begins, which says that the former is there.

Whoever goes on, after an error or a crash, reads the batch that was begun last from the log again.
What of it is in the table is not inserted again; of what a replica has that is away, ZooKeeper
knows the block, and a second one of the same octets is dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.flowlog.names import list_files
from appliance.plugins.clickhouse.blocks import Block, FlowPiece, flow_block, sum_block
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.collector_exchange import CollectorExchange
from appliance.plugins.clickhouse.insertion import Insertion
from appliance.plugins.clickhouse.ownership import Ownership, WrittenByOther
from appliance.plugins.clickhouse.progress import Batch, read_newest, write_newest
from appliance.plugins.clickhouse.retention import Kept, drop_old_days
from appliance.plugins.clickhouse.sampling import batch_candidates, sample_block
from appliance.plugins.clickhouse.schema import DAY_SECONDS, FLOWS, SUMS
from appliance.plugins.clickhouse.status import WriterStatus

log = logging.getLogger(__name__)

BATCH_ROWS = 262_144
BATCH_SECONDS = 5.0
"""Fewer rows than `BATCH_ROWS` wait so long: each insert is files on the server."""

_LAST_BATCHES = 8
_OTHER_WRITER_SECONDS = 120


@dataclass(slots=True)
class _Pending:
    """A batch that is written down.

    Attributes
    ----------
    tried
        Whether something of it may be in ClickHouse.
    """

    batch: Batch
    piece: FlowPiece | None
    tried: bool


class ClickHouseLoader:
    """Writes flows, and their sums by minute; see `LogLoader`.

    Parameters
    ----------
    collector
        Its name; no other collector has it.
    log_folder
        The flow log.
    kept
        How long rows are kept, and how many are in samples.
    """

    name = "ClickHouse"

    def __init__(
        self,
        cluster: Cluster,
        collector: str,
        log_folder: Path,
        kept: Kept | None = None,
    ) -> None:
        self.cluster, self.collector = cluster, collector
        self.batch_rows, self.batch_seconds = BATCH_ROWS, BATCH_SECONDS
        self.kept = kept or Kept()
        self.tables = (*self.kept.rates, FLOWS, SUMS)
        folder = log_folder.parent / "clickhouse"
        self.ownership, self.status = Ownership(folder), WriterStatus(folder)
        self._folder, self.reader = log_folder, FlowLogReader(log_folder)
        self._pending: _Pending | None = None
        self._newest: Batch | None = None
        self._cursor: Cursor | None = None
        self._next_at = 0.0
        self._is_cut = False
        self._exchange = CollectorExchange(cluster, collector, folder)

    def load_once(self, now: float) -> LoadReport:
        """Write the next batch, if there is one and it is time.

        Raises
        ------
        StorageError
            ClickHouse or the log is away; nothing is lost.
        """
        report = LoadReport()
        if self._pending is None and self._cursor is not None and time.monotonic() < self._next_at:
            return report
        try:
            self._load(now, report)
        except WrittenByOther:
            # The other one tells how it gets on, in the same file.
            raise
        except StorageError as error:
            self.status.failed(now, str(error))
            raise
        return report

    def finish(self, now: float) -> list[str]:
        """Write what is in the log, up to some batches."""
        report = LoadReport(busy=True)
        for _ in range(_LAST_BATCHES):
            self._next_at = 0.0
            report.busy = False
            self._load(now, report)
            if not report.busy:
                break
        return report.warnings

    def cursor(self) -> Cursor | None:
        """Return the beginning of the newest batch: it may have to be read again."""
        return self._newest.first if self._newest is not None else self._cursor

    def position(self) -> Cursor:
        """Return the place in the log up to which all rows are surely in ClickHouse."""
        if self._pending is not None:
            return self._pending.batch.first
        return self._cursor or Cursor()

    def close(self) -> None:
        """Let another process write this log."""
        self.ownership.release()

    def expire(self, now: float) -> int:
        """Drop days that are past their time; what fails is tried again next time."""
        try:
            return sum(
                drop_old_days(self.cluster, table, first)
                for table, first in self.first_kept_days(now).items()
                if first
            )
        except StorageError as error:
            log.warning("%s; old days are dropped later", error)
            return 0

    def first_kept_days(self, now: float) -> dict[str, int]:
        """Return the oldest day (since 1970, UTC) that each table keeps; 0: every day."""
        today = int(now) // DAY_SECONDS
        return {table: today - days if days else 0 for table, days in self.kept.days.items()}

    def _load(self, now: float, report: LoadReport) -> None:
        self.ownership.hold()
        self.cluster.connect()
        self._exchange.exchange(now)
        if self._cursor is None:
            self._resume(report)
        if self._pending is not None:
            self._write(self._pending, now, report)
            self.status.idle(now)
            report.busy = True
            return
        piece = self._next_piece(self._cursor or Cursor())
        if piece is None:
            self._next_at = time.monotonic() + self.batch_seconds
            self.status.idle(now)
            return
        self._write(self._begin(piece, now), now, report)
        report.busy = piece.n_rows >= self.batch_rows or self._is_cut
        if not report.busy:
            self._next_at = time.monotonic() + self.batch_seconds

    def _resume(self, report: LoadReport) -> None:
        """Learn which batch was begun last, by this process or one before."""
        stored = read_newest(self.cluster, self.collector, surely=True)
        newest = stored.batch if stored is not None else None
        if stored is None or newest is None:
            self._newest, self._pending, self._cursor = None, None, Cursor()
            return
        if newest.log != self.ownership.log_id:
            if stored.age_seconds < _OTHER_WRITER_SECONDS:
                raise StorageError(
                    f"another collector writes to ClickHouse as {self.collector}:"
                    " set collector.name"
                )
            report.warnings.append(
                f"the flow log is another than the one that {self.collector} filled ClickHouse"
                " from: going on at its beginning"
            )
        elif newest.end.segment > _newest_segment(self._folder) + 1:
            report.warnings.append(
                "the flow log is shorter than what ClickHouse has of it: going on at its beginning"
            )
        else:
            self._newest, self._cursor = newest, newest.end
            self._pending = _Pending(newest, None, tried=True)
            return
        self._newest = replace(newest, first=Cursor(), end=Cursor())
        self._pending, self._cursor = None, Cursor()

    def _next_piece(self, cursor: Cursor) -> FlowPiece | None:
        """Return the next rows, at most a batch and of one day."""
        if not (self._folder / "flows").is_dir():
            return None
        followed = self.reader.follow_spans(cursor, self.batch_rows)
        piece = FlowPiece(followed.rows, followed.spans)
        if not piece.n_rows:
            self._cursor = followed.cursor
            return None
        n = piece.day_rows()
        self._is_cut = n < piece.n_rows
        return piece.first_rows(n)

    def _begin(self, piece: FlowPiece, now: float) -> _Pending:
        """Write down the batch of these rows."""
        stored = read_newest(self.cluster, self.collector, surely=False)
        number = self._newest.number if self._newest is not None else 0
        if stored is not None and stored.batch.number > number:
            self._forget()
            raise StorageError(f"another writer of collector {self.collector} is at work")
        first, last = piece.spans[0], piece.spans[-1]
        batch = Batch(
            number=number + 1,
            log=self.ownership.log_id,
            shard=self._next_shard(number + 1),
            first=Cursor(first.segment, first.first),
            end=Cursor(last.segment, last.first + last.n_rows),
            rows=piece.n_rows,
            day=int(piece.seconds[0]) // DAY_SECONDS,
        )
        try:
            write_newest(self.cluster, self.collector, batch, now)
        except StorageError:
            # It may be written down, or not.
            self._forget()
            raise
        self._newest = batch
        self._pending = _Pending(batch, piece, tried=False)
        return self._pending

    def _next_shard(self, number: int) -> str:
        """Return the shard of a batch: each in turn, but one that is there."""
        shards = list(self.cluster.shards())
        turn = [*shards[number % len(shards) :], *shards[: number % len(shards)]]
        for shard in turn:
            try:
                self.cluster.on_shard(shard, lambda node: node.server.rows("SELECT 1", 5))
            except StorageError:
                continue
            return shard
        return turn[0]

    def _write(self, pending: _Pending, now: float, report: LoadReport) -> None:
        """Make sure that the batch that was begun is there, and go on behind it."""
        batch, tried, pending.tried = pending.batch, pending.tried, True
        insertion = Insertion(self.cluster, self.collector, batch, self.tables)
        wanted = insertion.missing() if tried else list(self.tables)
        piece = pending.piece or self._read_again(batch) if wanted else None
        if piece is not None:
            insertion.insert(self._blocks(piece, batch), wanted)
            self.status.written(now, batch.rows, int(piece.seconds[-1]))
            report.rows += batch.rows
        elif wanted:
            report.warnings.append(
                f"the flow log no longer has batch {batch.number}, which ClickHouse lacks in"
                " part: going on behind it"
            )
            self.status.lost(batch.rows)
        self._pending, self._cursor = None, batch.end

    def _blocks(self, piece: FlowPiece, batch: Batch) -> dict[str, Callable[[], Block]]:
        # Both samples are drawn from the same.
        candidates = cache(partial(batch_candidates, piece, batch))
        samples = {
            table: lambda rate=rate: sample_block(candidates(), self.collector, batch, rate)
            for table, rate in self.kept.rates.items()
        }
        return {
            **samples,
            FLOWS: lambda: flow_block(piece, self.collector, batch.number),
            SUMS: lambda: sum_block(piece, self.collector, batch.number),
        }

    def _read_again(self, batch: Batch) -> FlowPiece | None:
        """Return the rows of a batch; None where the log does not have all of them."""
        followed = self.reader.follow_spans(batch.first, batch.rows)
        piece = FlowPiece(followed.rows, followed.spans)
        if piece.n_rows != batch.rows:
            return None
        first, last = piece.spans[0], piece.spans[-1]
        places = (first.segment, first.first), (last.segment, last.first + last.n_rows)
        return piece if places == (batch.first, batch.end) else None

    def _forget(self) -> None:
        self._newest, self._pending, self._cursor = None, None, None


def _newest_segment(folder: Path) -> int:
    files = list_files(folder, False)[0] if (folder / "flows").is_dir() else []
    return max((file.last for file in files), default=0)
