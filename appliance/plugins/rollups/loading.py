"""The loader of roll-ups: follows the flow log and stores what is new, each piece in a transaction.

Two things are stored of each piece, with the cursor behind it: sums that are exact are added to the
rows that are there; the largest sources, destinations and ports of the minutes that are still open
are kept in memory (see `minutes`) and written in place of those before. The same transaction has
the list of open minutes with the cursor before each, from which a restart makes them again. So a
crash at any point repeats or loses nothing. Hours (see `hours`), days and months follow from marks
that the same transaction leaves (see `work`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from appliance.collector.memory import return_freed_memory
from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader, Rows
from appliance.plugins.rollups.application_names import (
    MOST_UNLISTED_NAMES,
    Applications,
    names_in_database,
    store_names,
)
from appliance.plugins.rollups.application_room import ApplicationRoom
from appliance.plugins.rollups.bins import Size, bin_start
from appliance.plugins.rollups.capped_sums import CappedSums
from appliance.plugins.rollups.classify import Classifier, flow_columns
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS
from appliance.plugins.rollups.exact import add_rows, exact_rows
from appliance.plugins.rollups.exporter_records import MOST_EXPORTERS, Exporters
from appliance.plugins.rollups.forgetting import delete_applications, delete_exporters
from appliance.plugins.rollups.hours import OpenHour, OpenHours
from appliance.plugins.rollups.log_pieces import (
    OPTION_COLUMNS,
    Piece,
    application_names,
    read_piece,
    sum_up_piece,
)
from appliance.plugins.rollups.minutes import (
    OpenMinutes,
    merge_late,
    minutes_in_database,
    minutes_in_order,
)
from appliance.plugins.rollups.progress import Progress, read_progress, write_progress
from appliance.plugins.rollups.rebuild import note
from appliance.plugins.rollups.work import (
    WorkItem,
    finish,
    make_from_smaller,
    mark_work,
    pending_work,
    ready,
    was_made,
)
from appliance.sql.database import DamagedDatabase, SqlDatabase

PIECE_ROWS = 400_000
OPTIONS_ROWS = 50_000


class ChangedByOther(StorageError):  # noqa: N818 - nothing is wrong, somebody else was first
    """Another program stored what was to be stored."""


class RollupLoader:
    """Stores what is new in the flow log; the only writer of the flow database."""

    def __init__(
        self,
        database: SqlDatabase,
        exporters: Exporters,
        log: Path,
        classifier: Classifier,
        limits: StoreLimits,
    ) -> None:
        self.database, self.exporters, self.limits = database, exporters, limits
        self.classifier, self.piece_rows = classifier, PIECE_ROWS
        self._log = log
        self._reader, self._job_reader = FlowLogReader(log), FlowLogReader(log)
        self._progress: Progress | None = None
        self._minutes = OpenMinutes(limits)
        self._applications = Applications(classifier.services)
        self._room = ApplicationRoom(exporters)
        self._hours = OpenHours(limits)
        self._capped = CappedSums(database, limits)
        self._behind, self._gave_way = True, 0

    def load_once(self, now: float) -> LoadReport:
        """Store what is new, at most one piece, and work on what is to be made.

        Raises
        ------
        StorageError
            A database or the log is away; nothing is lost.
        """
        report = LoadReport()
        if not (self._log / "flows").is_dir():
            return report
        try:
            progress = self._load_options(self._delete_forgotten(self._current(now)), now)
            piece = self._next_piece(progress, now)
            due = self._minutes.due(now) or self._hours.due(now, progress.flows)
            if piece is not None or due:
                self._store(piece, now, report)
            reached = min(now, self._require_progress().loaded) if report.busy else now
            report.busy |= self._make(now, reached)
        except BaseException:
            self.forget()
            raise
        self._behind = report.busy
        return report

    def forget_silent(self, now: float) -> None:
        """Forget exporters that sent next to nothing and are silent; note who gave way since."""
        if self._progress is None or self._behind:
            return  # What they sent is not all stored.
        self._delete_unlisted_names()
        texts = []
        if silent := self.exporters.silent(now):
            self.exporters.delete_unnamed(silent, now)
            self._delete_forgotten(self._progress)
            texts.append(f"{len(silent)} exporters that sent next to nothing are forgotten")
        if self._gave_way:
            texts.append(
                f"{self._gave_way} exporters gave way to others, there is room for"
                f" {MOST_EXPORTERS}: set collector.allowed_exporters"
            )
            self._gave_way = 0
        with self.database.transaction(write=True):
            for text in texts:
                note(self.database, now, text)

    def _delete_unlisted_names(self) -> None:
        """Delete the names of applications of exporters without a flow, when there are many."""
        listed = self.exporters.read_addresses()
        if self._applications.count_unlisted(listed) <= MOST_UNLISTED_NAMES // 2:
            return
        exporters = sorted(self._applications.names.keys() - listed)
        with self._writing():
            delete_applications(self.database, exporters)
        self._applications.forget(exporters)

    def cursor(self) -> Cursor | None:
        """Return the position in the log before which nothing is needed any more."""
        with self.database.transaction():
            progress = read_progress(self.database)
            hours = [item.first for item in pending_work(self.database) if item.size is Size.HOUR]
        return min([progress.flows, *progress.open.values(), *hours])

    def position(self) -> Cursor:
        """Return the position in the log up to which flows are stored."""
        with self.database.transaction():
            return read_progress(self.database).flows

    def forget(self) -> None:
        """Begin anew from what the database says."""
        self._progress = None
        self._minutes, self._hours = OpenMinutes(self.limits), OpenHours(self.limits)
        self._applications = Applications(self.classifier.services)
        self._capped.forget()
        self.exporters.reset()

    def _current(self, now: float) -> Progress:
        """Return the progress; when it is not what this loader wrote last, take it over."""
        with self.database.transaction():
            stored = read_progress(self.database)
        if self._progress is not None and stored == self._progress:
            return self._progress
        if self._progress is not None and stored == Progress():
            raise DamagedDatabase(self.database, "it was deleted or replaced while in use")
        self.forget()
        with self.database.transaction():
            self._applications.restore(names_in_database(self.database))
        self._capped.begin()
        self._reopen(stored, now)
        self._progress = stored
        return stored

    def _reopen(self, progress: Progress, now: float) -> None:
        """Read the minutes that were open from the log again."""
        if not progress.open:
            return
        for start, first in progress.open.items():
            self._minutes.open(start, first)
        cursor = min(progress.open.values())
        while cursor < progress.flows:
            rows, after = read_piece(
                self._reader, cursor, self.piece_rows, flow_columns(), progress.flows
            )
            if rows:
                piece = self._sum_up_stored(rows, cursor, after, now)
                self._minutes.add(piece.names)
            cursor = after

    def _load_options(self, progress: Progress, now: float) -> Progress:
        """Take over the names of applications that are new in the log."""
        tables, after = self._reader.follow(progress.options, OPTIONS_ROWS, True, OPTION_COLUMNS)
        if after == progress.options:
            return progress
        new_names = [name for table in tables for name in application_names(table)]
        applications, changed = self._applications, copy.deepcopy(progress)
        changed.options = after
        leaving = self._room.giving_way(applications, new_names, now)
        if leaving:
            changed.names_gave_way = now
            gone = sum(applications.n_names(exporter) for exporter in leaving)
            changed.count("applications_gave_way", gone)
            applications.forget(leaving)
        before = applications.refused
        changes = applications.learn(new_names, self.exporters.read_addresses())
        changed.count("applications_refused", applications.refused - before)
        with self._writing():
            delete_applications(self.database, leaving)
            store_names(self.database, changes)
            write_progress(self.database, changed)
        self._progress = changed
        return changed

    def _next_piece(self, progress: Progress, now: float) -> Piece | None:
        refilling = progress.flows < progress.until
        end = progress.until if refilling else None
        rows, after = read_piece(self._reader, progress.flows, self.piece_rows, flow_columns(), end)
        if after == progress.flows:
            return None
        flows = self.classifier.flows(rows)
        if refilling:
            flows = flows.where(np.flatnonzero(flows.minutes >= progress.floor))
        elif leaving := self.exporters.giving_way(flows.exporters):
            self.exporters.delete_unnamed(leaving, now)
            self._delete_forgotten(progress)
            self._gave_way += len(leaving)
        ids = self.exporters.ids(flows.exporters, now)
        return sum_up_piece(rows, progress.flows, after, flows, ids)

    def _sum_up_stored(self, rows: list[Rows], first: Cursor, after: Cursor, now: float) -> Piece:
        """Sum up a piece that is stored already."""
        flows = self.classifier.flows(rows)
        ids = self.exporters.ids(flows.exporters, now, make=False)
        return sum_up_piece(rows, first, after, flows, ids)

    def _delete_forgotten(self, progress: Progress) -> Progress:
        """Delete what is stored of exporters that were forgotten, here or by the API."""
        forgotten = self.exporters.pending_deletions()
        if not forgotten:
            return progress
        changed = copy.deepcopy(progress)
        changed.highest_exporter = max(changed.highest_exporter, *forgotten)
        changed.generation += 1
        changed.count("exporters_forgotten", len(forgotten))
        with self._writing():
            delete_exporters(self.database, forgotten)
            write_progress(self.database, changed)
        self._progress = changed
        self._applications.forget(forgotten.values())
        self.exporters.finish_deletions(forgotten)
        return changed

    def _store(self, piece: Piece | None, now: float, report: LoadReport) -> None:
        progress = copy.deepcopy(self._require_progress())
        with self._writing():
            closing = self._add(piece, progress, now) if piece else []
            written = self._minutes.write(self.database, now, closing)
            written |= self._hours.write(self.database, now, progress.flows)
            progress.open = self._minutes.first_cursors()
            progress.unwritten = self._minutes.unwritten()
            write_progress(self.database, progress)
        self._progress = progress
        if written:
            # Sealing, which comes next, needs as much memory again.
            return_freed_memory()
        if piece is not None:
            report.rows = piece.rows
            report.busy = piece.rows >= self.piece_rows or progress.flows < progress.until

    def _add(self, piece: Piece, progress: Progress, now: float) -> list[int]:
        """Add a piece to everything; return the minutes that it closes."""
        progress.flows = piece.after
        every = minutes_in_order(piece.flows.minutes)
        if not every:
            self._hours.take(piece.names, piece.first, piece.after)
            return []
        oldest = int(now) - self.limits.retention_seconds(Size.MINUTE)
        order = [start for start in every if start >= oldest]
        unknown = [start for start in order if start not in self._minutes.minutes]
        old = [start for start in unknown if start <= progress.newest]
        late = minutes_in_database(self.database, old) if old else set()
        known = self._minutes.minutes
        progress.generation += any(m <= progress.newest and m not in known for m in every)
        for start in unknown:
            if start not in late:
                self._minutes.open(start, piece.first)
        rows = exact_rows(piece.groups, self._applications, self.exporters.addresses, oldest)
        add_rows(self.database, [*rows, *self._capped.rows(piece.flows, piece.ids)])
        self._minutes.add(piece.names)
        for start in sorted(late):
            merge_late(self.database, self.limits, start, piece.names)
        progress.count("late_minutes", len(late))
        nobody = piece.groups.columns[1] == ALL_EXPORTERS
        progress.count("flows_beyond_exporter_limit", int(piece.groups.sums[nobody, 2].sum()))
        mark_work(self.database, every, piece.first, piece.after)
        progress.oldest = min([progress.oldest or every[0], *every])
        progress.newest = max(progress.newest, *every)
        self._count_hours(piece, every, progress.newest)
        progress.loaded = float(every[-1] + 60)
        return self._minutes.touch([start for start in order if start not in late])

    def _count_hours(self, piece: Piece, minutes: list[int], newest: int) -> None:
        """Add the names of a piece to their hours, which may begin with it.

        Hours that have flows from before, after a restart, are read from the log: at once only the
        newest, others when they are made.
        """
        touched = {bin_start(Size.HOUR, minute) for minute in minutes}
        if not touched <= self._hours.hours.keys():
            for item in pending_work(self.database):
                now_or_new = item.first == piece.first or item.end > newest
                if item.size is Size.HOUR and item.start in touched and now_or_new:
                    self._hours.begin(item.start, item.first)
        self._hours.take(piece.names, piece.first, piece.after)

    def _make(self, now: float, moment: float) -> bool:
        """Work on one bin that is over; return whether there is more to do.

        Parameters
        ----------
        moment
            The time up to which flows are stored.
        """
        with self.database.transaction():
            items = pending_work(self.database)
        item = ready(items, self._minutes.minutes, moment)
        if item is None:
            return self._complete_running(items, now)
        if item.size is Size.HOUR:
            hour = self._hours.begin(item.start, item.first)
            if hour.position < item.last:
                self._read_hour(hour, item.last, now)
                return True
        progress = copy.deepcopy(self._require_progress())
        with self._writing():
            progress.generation += was_made(self.database, item)
            if item.size is Size.HOUR:
                self._hours.hours[item.start].store(self.database)
                finish(self.database, item)
            else:
                make_from_smaller(self.database, item, self.limits)
            write_progress(self.database, progress)
        self._progress = progress
        self._hours.hours.pop(item.start if item.size is Size.HOUR else -1, None)
        return True

    def _complete_running(self, items: list[WorkItem], now: float) -> bool:
        """Read what the hours in memory lack, the newest of all hours among them."""
        progress = self._require_progress()
        for item in items:
            if item.size is Size.HOUR and item.start <= progress.newest < item.end:
                self._hours.begin(item.start, item.first)
        behind = self._hours.behind(progress.flows)
        if behind is not None:
            self._read_hour(behind, progress.flows, now)
        return behind is not None

    def _read_hour(self, hour: OpenHour, end: Cursor, now: float) -> None:
        """Read the next piece of an hour from the log once more."""
        rows, after = read_piece(
            self._job_reader, hour.position, self.piece_rows, flow_columns(), end
        )
        # A cursor behind `end` says the same in other words.
        after = min(after, end)
        if rows:
            hour.take(self._sum_up_stored(rows, hour.position, after, now).names, after)
        hour.position = after

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Begin a transaction that stores progress; nobody else may have stored some meanwhile.

        A loader that was orphaned by a crash can still be at work when the next one begins.
        """
        with self.database.transaction(write=True):
            if read_progress(self.database, for_update=True) != self._progress:
                raise ChangedByOther(f"database {self.database.name} is being filled by another")
            yield

    def _require_progress(self) -> Progress:
        if self._progress is None:
            raise RuntimeError("the progress is not known")
        return self._progress
