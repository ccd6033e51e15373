"""FlowSearch: questions answered by DuckDB over sealed files and journals, within limits.

Every question gets its own in-memory DuckDB, so its limits on memory and threads are its own, and a
timer that interrupts it. Files are opened before DuckDB starts and handed over through
/proc/self/fd: one that is merged or expired while the question runs is still read to its end.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from appliance.errors import InvalidQueryError, QueryError, StorageError
from appliance.flowlog.connections import open_connection
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.names import FIRST_SEGMENT, LogFile, list_files
from appliance.flowlog.number_names import create_name_functions
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import (
    LAST_MS,
    FlowQuestion,
    Statement,
    flows_statement,
)
from appliance.flowlog.reader import FlowLogReader, LogSnapshot
from appliance.flowlog.samples.files import SamplePiece
from appliance.flowlog.sources import (
    Source,
    check_file,
    pin_files,
    samples_select,
    sealed_columns,
    source_select,
    statement_relation,
)
from appliance.flowlog.views import stored_columns, view_statements
from appliance.flows import COLLECTION_TIME, OCTETS_PREFIX
from appliance.ratelimit import RateLimited

# Of the process, not of a reader: one is made for each question.
logger = RateLimited(logging.getLogger(__name__))

TRIES = 10
STREAM_ROWS = 32_768


class TimeRange(Protocol):
    """A range of collection times, half open, milliseconds UTC."""

    @property
    def since_ms(self) -> int:
        """Its start."""
        ...

    @property
    def until_ms(self) -> int:
        """Its end, not included."""
        ...


class FlowSearch:
    """Answers questions about one flow log.

    Parameters
    ----------
    may_be_missing
        Where there is no log yet, there are no flows; otherwise that is a StorageError.

    Attributes
    ----------
    damaged
        What the last question had to leave out, one text each.
    missing
        What did not answer so far, where another place than the log is asked; a name each.
    control
        Of what `run` and `run_over` are asked.
    """

    def __init__(
        self, directory: Path, limits: QueryLimits | None = None, *, may_be_missing: bool = False
    ) -> None:
        self.control: QueryControl | None = None
        self.directory, self.limits = directory, limits or QueryLimits()
        self.may_be_missing = may_be_missing
        self.damaged: list[str] = []
        self.missing: list[str] = []
        self._reader = FlowLogReader(directory)

    def with_limits(self, limits: QueryLimits, control: QueryControl | None = None) -> FlowSearch:
        """Return a search of the same log with other limits and a control."""
        search = FlowSearch(self.directory, limits, may_be_missing=self.may_be_missing)
        search.control = control
        return search

    def without_deadline(self) -> FlowSearch:
        """Return the same search for answers that take as long as those who read them."""
        return self.with_limits(replace(self.limits, seconds=math.inf))

    def flows(self, question: FlowQuestion) -> Any:
        """Return matching records as a pyarrow table.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        octets = () if question.columns else self.octets_columns(question.options)
        return self.run(flows_statement(question, octets), question, question.options)

    def run_flows(
        self, statement_of: Callable[[FlowQuestion], Statement], question: FlowQuestion
    ) -> Any:
        """Return what the statement of a question makes of its records; see `run`."""
        return self.run(statement_of(question), question, question.options)

    def newest_start(self, question: FlowQuestion) -> int | None:
        """Return since when as many flows were received as a page needs and one more.

        Returns
        -------
        int or None
            Milliseconds UTC; None: nobody knows without looking.
        """
        return None

    def run(self, statement: Statement, question: TimeRange, options: bool) -> Any:
        """Return the answer of one statement as a pyarrow table.

        Parameters
        ----------
        question
            Its time range says which files are read.
        options
            Read options records instead of flows and events.

        Raises
        ------
        QueryError
            It ran into a limit.
        StorageError
            The log cannot be read.
        """

        def ask(connection: Any, sources: dict[bool, Source]) -> Any:
            return statement_relation(
                connection, sources[options], statement, options, self.limits
            ).to_arrow_table()

        return self._retry((options,), question, ask, control=self.control)

    def stream_flows(self, question: FlowQuestion) -> Iterator[Any]:
        """Yield the flows of a question; see `stream`."""
        octets = () if question.columns else self.octets_columns(question.options)
        yield from self.stream(flows_statement(question, octets), question)

    def stream(self, statement: Statement, question: TimeRange) -> Iterator[Any]:
        """Yield the flows that a statement selects as pyarrow record batches, in the log's order.

        Memory does not grow with their number. The first batch has no rows: it says the columns.

        Raises
        ------
        QueryError
            It ran into a limit.
        StorageError
            The log cannot be read; before the first batch what is damaged is left out instead.
        """

        def ask(connection: Any, sources: dict[bool, Source]) -> tuple[Any, Any]:
            connection.execute("SET preserve_insertion_order = true")
            source = sources[False]
            relation = statement_relation(connection, source, statement, False, self.limits)
            reader = relation.to_arrow_reader(STREAM_ROWS)
            try:
                return reader, next(reader, None)
            # What DuckDB raises, as Arrow hands it on.
            except OSError as error:
                raise duckdb.Error(str(error)) from error

        with ExitStack() as kept:
            reader, first = self._retry((False,), question, ask, kept, is_own=True)
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            if first is None:
                return
            yield first
            try:
                yield from reader
            except OSError as error:
                reason = str(error).partition("\n")[0]
                raise StorageError(f"flow log {self.directory} cannot be read: {reason}") from error

    def run_over(self, statement: Statement, pieces: Sequence[SamplePiece]) -> Any:
        """Return the answer of one statement over samples, as a pyarrow table.

        Raises
        ------
        QueryError
            It ran into a limit.
        StorageError
            The samples cannot be read.
        """
        columns = sorted(statement.columns)
        try:
            opened = open_connection(self.limits, self.control, is_own=False)
            with ExitStack() as held, opened as connection:
                paths = pin_files([piece.file for piece in pieces], held)
                relation = samples_select(connection, paths, pieces, columns)
                sql = f"WITH log AS NOT MATERIALIZED ({relation}) {statement.sql}"
                return connection.sql(sql, params=statement.parameters).to_arrow_table()
        except (OSError, duckdb.IOException, duckdb.InvalidInputException) as error:
            reason = str(error).partition("\n")[0]
            raise StorageError(f"samples cannot be read: {reason}") from error

    def oldest_ms(self) -> int:
        """Return when the oldest flow was received; a far future when there is none."""
        files = list_files(self.directory, options=False)[0]
        sealed = [file.from_ms for file in files if file.kind == "parquet"]
        if sealed or not files:
            return min(sealed, default=LAST_MS)
        rows = self._reader.snapshot(False).rows
        times = (pc.min(piece.array(COLLECTION_TIME)).as_py() for piece in rows)
        return min((time for time in times if time is not None), default=LAST_MS)

    def is_complete(self) -> bool:
        """Return whether no file was ever deleted: what the log does not have, nobody sent."""
        files = list_files(self.directory, options=False)[0]
        return bool(files) and files[0].first == FIRST_SEGMENT

    def rows_between(self, since_ms: int, until_ms: int) -> int:
        """Return how many flow records the files have that hold some of a range; nothing is read
        but their ends.

        Raises
        ------
        StorageError
            The log cannot be read.
        """
        self._check_present()
        return self._reader.count_flows(since_ms, until_ms)

    def sql(self, text: str, since_ms: int = 0, until_ms: int = LAST_MS) -> Any:
        """Return what a statement in DuckDB's SQL selects, as a pyarrow table.

        Parameters
        ----------
        text
            May read the views of `appliance.flowlog.views`; of several statements the last counts.
        since_ms, until_ms
            What the views hold: records received in this range, half open, milliseconds UTC.

        Raises
        ------
        InvalidQueryError
            It is not understood, or no SELECT.
        QueryError
            It ran into a limit.
        StorageError
            The log cannot be read.
        """

        def ask(connection: Any, sources: dict[bool, Source]) -> Any:
            create_name_functions(connection)
            for options, source in sources.items():
                sealed = sealed_columns(connection, source)
                names = sealed.union(*(rows.arrays for rows in source.rows))
                octets = {name for name in names if name.startswith(OCTETS_PREFIX)}
                columns = stored_columns(options, octets)
                relation = source_select(connection, source, sealed, columns, options)
                for statement in view_statements(relation, columns, options, since_ms, until_ms):
                    connection.execute(statement)
            return _select(connection, text)

        received = FlowQuestion(since_ms, until_ms)
        return self._retry((False, True), received, ask, is_own=True)

    def _retry(
        self,
        families: tuple[bool, ...],
        received: TimeRange,
        ask: Callable[[Any, dict[bool, Source]], Any],
        kept: ExitStack | None = None,
        control: QueryControl | None = None,
        *,
        is_own: bool = False,
    ) -> Any:
        """Ask, again where files went or are damaged; `ask` gets the sources by family.

        Parameters
        ----------
        kept
            Gets what the answer is still read from.
        is_own
            The connection is nobody else's before and after.
        """
        self._check_present()
        self.damaged = []
        without: set[Path] = set()
        for _ in range(TRIES):
            files: list[LogFile] = []
            try:
                with ExitStack() as held:
                    opened = open_connection(self.limits, control, is_own=is_own)
                    connection = held.enter_context(opened)
                    sources = {}
                    for options in families:
                        snapshot = self._snapshot(options, received, without)
                        files += snapshot.files
                        paths = pin_files(snapshot.files, held)
                        sources[options] = Source(paths, snapshot.rows, control is not None)
                    answer = ask(connection, sources)
                    if kept is not None:
                        kept.push(held.pop_all())
                    return answer
            except FileNotFoundError:
                continue
            except duckdb.IOException as error:
                if all(file.path.exists() for file in files):
                    self._leave_out_damaged(files, without, error)
            except duckdb.Error as error:
                self._leave_out_damaged(files, without, error)
        raise StorageError(f"flow log {self.directory} changes faster than it can be read")

    def _check_present(self) -> None:
        if not self.may_be_missing and not (self.directory / "flows").is_dir():
            raise StorageError(f"no flow log in {self.directory}: has the collector run yet?")

    def _snapshot(self, options: bool, received: TimeRange, without: set[Path]) -> LogSnapshot:
        """Return a family's files and rows, of the files only those that a range needs."""
        snapshot = self._reader.snapshot(options)
        self.damaged += [text for text in snapshot.damaged if text not in self.damaged]
        snapshot.files = [
            file
            for file in snapshot.files
            if file.path not in without and file.overlaps(received.since_ms, received.until_ms)
        ]
        return snapshot

    def _leave_out_damaged(
        self, files: list[LogFile], without: set[Path], error: Exception
    ) -> None:
        """Find the files that cannot be read, after DuckDB failed on one of them."""
        found = False
        for file in files:
            try:
                check_file(file.path)
            except FileNotFoundError:
                found = True
            except DamagedFile as damage:
                found = True
                without.add(file.path)
                self.damaged.append(str(damage))
                logger.warning("damaged file is left out: %s", damage)
        if not found:
            raise QueryError(f"the question failed: {str(error).splitlines()[0]}") from error

    def octets_columns(self, options: bool) -> set[str]:
        """Return the columns of elements that are kept as octets and that any file has."""
        snapshot = self._reader.snapshot(options)
        names = {name for rows in snapshot.rows for name in rows.arrays}
        for file in snapshot.files:
            try:
                sealed = ParquetFile(file.path)
            except (DamagedFile, FileNotFoundError):
                continue
            names.update(sealed.octets_columns)
            sealed.close()
        return {name for name in names if name.startswith(OCTETS_PREFIX)}


def _select(connection: Any, text: str) -> Any:
    """Run a user's SQL and return what its last statement selects."""
    try:
        statements = connection.extract_statements(text)
        if not statements or statements[-1].type != duckdb.StatementType.SELECT:
            raise InvalidQueryError("expected a SELECT")
        return connection.sql(text).to_arrow_table()
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise InvalidQueryError(str(error).partition("\n")[0]) from error
