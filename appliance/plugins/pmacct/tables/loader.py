"""The loader of pmacct's tables: follows the flow log as nfacctd's plugins follow datagrams.

Each table has a follower of its own: it sums up what is new in the log, and purges its sums when
`sql_refresh_time` is over. What is not purged yet is in memory only; the cursor in the database
says where the log goes on, so a crash repeats or loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from appliance.contracts import LoadReport
from appliance.errors import SettingsError, StorageError
from appliance.flowlog import Cursor, FlowLogReader, Rows
from appliance.flowlog.names import list_files
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.printing.print_destination import POSITIONS, PrintDestination
from appliance.plugins.pmacct.tables.aggregation import aggregate, join_aggregates, select_rows
from appliance.plugins.pmacct.tables.destination import Destination, Position
from appliance.plugins.pmacct.tables.history import (
    bins,
    grid_start,
    next_purge,
    round_down,
)
from appliance.plugins.pmacct.tables.new_tables import NewTableLimit
from appliance.plugins.pmacct.tables.plan import Output, TablePlan, table_plans
from appliance.plugins.pmacct.tables.sql_tables import Target, is_dynamic, shares, target
from appliance.plugins.pmacct.tables.triggers import TriggerRunner, counts_environment
from appliance.plugins.pmacct.tables.values import source_columns

log = logging.getLogger(__name__)

PIECE_ROWS = 500_000
_JOIN_PARTS = 8


class TableFollower:
    """Fills one table from the flow log.

    Attributes
    ----------
    read
        How far the log is summed up; what lies behind `purged` is in memory.
    """

    def __init__(self, plan: TablePlan, log_folder: Path, started: float) -> None:
        self.plan, self.piece_rows = plan, PIECE_ROWS
        self.destination = _destination(plan, log_folder)
        self.read = Position()
        self.purged: Position | None = None
        self.grid = (
            0 if plan.history is None else grid_start(int(started), plan.history, plan.roundoff)
        )
        origin = round_down(int(started), plan.roundoff) if plan.roundoff else int(started)
        self._next = next_purge(started, origin, plan.refresh_seconds, plan.startup_delay)
        self._origin = origin
        self._folder, self._reader = log_folder, FlowLogReader(log_folder)
        self._columns = source_columns(plan)
        self._runner = TriggerRunner(plan.trigger) if plan.trigger is not None else None
        self._new_tables = NewTableLimit()
        self._parts: list[Any] = []
        self._rows = 0

    def load_once(self, now: float, last: bool = False) -> LoadReport:
        """Sum up what is new, at most a piece, and purge when it is time, or for the last time."""
        report = LoadReport()
        try:
            self._take_over(report)
            rows = self._sum_up(report)
            full = self._rows >= self.plan.most_rows
            # What is new is read before a purge that is due, unless there is no end of it.
            if full or now >= self._next or (last and not rows):
                self._purge(now, report)
        except BaseException:
            self.forget()
            raise
        return report

    def purge_all(self, now: float) -> list[str]:
        """Read to the end of the log and write everything."""
        report = LoadReport()
        while self.load_once(now).busy:
            pass
        self._purge(now, report)
        return report.warnings

    def forget(self) -> None:
        """Begin anew from what the database says."""
        self.purged = None
        self._parts, self._rows = [], 0

    def _take_over(self, report: LoadReport) -> None:
        """Learn where the table ends, when that is not known."""
        if self.purged is not None:
            return
        with self.destination.transaction():
            found = self.destination.position(self.plan.plugin)
        position = found or Position()
        newest = _newest_segment(self._folder)
        if position.flows.segment > newest + 1:
            report.warnings.append(
                f"plugin {self.plan.plugin}: the flow log is another than the one that filled"
                f" {self.plan.table}: going on at its beginning"
            )
            position = Position()
        self.purged = self.read = position
        self._parts, self._rows = [], 0

    def _sum_up(self, report: LoadReport) -> int:
        if not (self._folder / "flows").is_dir():
            return 0
        n_flows, flows = self._follow(self.read.flows, options=False)
        n_options, options = 0, self.read.options
        if self.plan.options:
            n_options, options = self._follow(options, options=True)
        self.read = Position(flows, options)
        report.rows = n_flows + n_options
        report.busy = max(n_flows, n_options) >= self.piece_rows
        return report.rows

    def _follow(self, cursor: Cursor, *, options: bool) -> tuple[int, Cursor]:
        found, after = self._reader.follow_rows(cursor, self.piece_rows, options, self._columns)
        for rows in found:
            self._add(rows, options)
        return sum(rows.n_rows for rows in found), after

    def _add(self, rows: Rows, options: bool) -> None:
        part = aggregate(rows, self.plan, self.grid, options)
        if part is None:
            return
        self._parts.append(part)
        self._rows += len(part)
        if len(self._parts) > _JOIN_PARTS and self._rows > 2 * len(self._parts[0]):
            self._parts = [join_aggregates(self._parts)]
            self._rows = len(self._parts[0])

    def _purge(self, now: float, report: LoadReport) -> None:
        if self._parts:
            whole = join_aggregates(self._parts)
            written = self._targets(select_rows(whole, self.plan), int(now), report)
            begun = time.monotonic()
            report.warnings += self.destination.purge(self.plan, written, self.read)
            log.debug("plugin %s: %d rows purged", self.plan.plugin, len(whole))
            counted = self._counts(written, len(whole), now, time.monotonic() - begun)
            self._trigger(counted, report)
        else:
            if self.read != self.purged:
                report.warnings += self.destination.purge(self.plan, (), self.read)
            # As in nfacctd: of a table also where there is nothing to write.
            if self.plan.database is not None:
                self._trigger({}, report)
        self.purged = self.read
        self._parts, self._rows = [], 0
        self._next = next_purge(
            now, self._origin, self.plan.refresh_seconds, self.plan.startup_delay
        )

    def _targets(self, rows: Any, now: int, report: LoadReport) -> list[Target]:
        """Return the rows of each table, the newest last."""
        parts = shares(rows, self.plan, now)
        if is_dynamic(self.plan.table):
            missing = self.destination.missing_names([share.name for share in parts])
            parts, warnings = self._new_tables.apply(parts, missing, self.plan, now)
            report.warnings += warnings
        parts.sort(key=lambda share: share.moment)
        return [target(rows, share, self.plan, now) for share in parts]

    def _counts(
        self, purged: Sequence[Target], total: int, now: float, seconds: float
    ) -> dict[str, str]:
        """Return what the program of a table is told of a purge."""
        if self.plan.database is None:
            return {}
        counts = self.destination.counts
        counts.total, counts.effective = total, sum(target.n_rows for target in purged)
        environment = counts_environment(counts, seconds)
        if is_dynamic(self.plan.table) and purged:
            environment["EFFECTIVE_SQL_TABLE"] = purged[-1].name
        if self.plan.history is not None:
            current = bins(np.array([int(now)]), self.grid, self.plan.history)
            environment["SQL_HISTORY_BASETIME"] = str(int(current[0]))
            environment["SQL_HISTORY_TIMESLOT"] = str(self.plan.history.seconds)
        return environment

    def _trigger(self, environment: dict[str, str], report: LoadReport) -> None:
        """Run the program of the plugin behind a purge."""
        problem = self._runner.start(environment) if self._runner is not None else None
        if problem is not None:
            report.warnings.append(f"plugin {self.plan.plugin}: {problem}")


def _destination(plan: TablePlan, log_folder: Path) -> Destination | PrintDestination:
    if isinstance(plan.place, Output):
        return PrintDestination(plan.place, log_folder.parent / POSITIONS)
    return Destination(plan.place)


class PmacctLoader:
    """Fills every table that a collector configuration asks for; see `LogLoader`."""

    name = "pmacct tables"

    def __init__(self, config: EffectiveConfig, log_folder: Path) -> None:
        self._config, self._log_folder = config, log_folder
        self.followers: list[TableFollower] | None = None
        self._turn = 0

    def load_once(self, now: float) -> LoadReport:
        """Work on the next table.

        Raises
        ------
        StorageError
            A database or the log is away; nothing is lost.
        """
        report = LoadReport()
        followers = self._open_followers(now, report)
        problems: list[StorageError] = []
        for follower in followers:
            try:
                found = follower.load_once(now)
            except StorageError as error:
                problems.append(error)
                continue
            report.rows += found.rows
            report.busy |= found.busy
            report.warnings += found.warnings
        if problems:
            raise problems[0]
        return report

    def finish(self, now: float) -> list[str]:
        """Purge everything, as nfacctd does when it ends; return what is to be said."""
        found = []
        for follower in self.followers or ():
            found += follower.purge_all(now)
        return found

    def cursor(self) -> tuple[int, int] | None:
        """Return the position in the log before which nothing is needed any more."""
        if not self.followers:
            return None
        purged = [follower.purged for follower in self.followers]
        if any(position is None for position in purged):
            return None
        return min(
            min(p.flows, p.options) if f.plan.options else p.flows
            for p, f in zip(purged, self.followers, strict=True)
            if p is not None
        )

    def expire(self, now: float) -> int:
        """Delete nothing: tables of pmacct are kept until their owner thins them out."""
        return 0

    def close(self) -> None:
        """Close the connections of this thread."""
        for follower in self.followers or ():
            follower.destination.close()

    def _open_followers(self, now: float, report: LoadReport) -> Sequence[TableFollower]:
        if self.followers is None:
            try:
                plans, warnings = table_plans(self._config)
            except SettingsError as error:
                # The collector was started with it, so a file that it names has gone since.
                raise StorageError(f"collector configuration: {error}") from error
            report.warnings += warnings
            self.followers = [TableFollower(plan, self._log_folder, now) for plan in plans]
        return self.followers


def _newest_segment(folder: Path) -> int:
    files = list_files(folder, False)[0] if (folder / "flows").is_dir() else []
    return max((file.last for file in files), default=0)
