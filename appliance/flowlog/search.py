"""FlowSearch: questions answered by DuckDB over sealed files and journals, within limits.

Every question gets its own in-memory DuckDB, so its limits on memory and threads are its own, and a
timer that interrupts it. Files are opened before DuckDB starts and handed over through
/proc/self/fd: one that is merged or expired while the question runs is still read to its end.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb
import pyarrow as pa

from appliance.errors import InvalidQueryError, QueryError, StorageError
from appliance.flowlog.journal import DamagedFile
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.macros import MACROS
from appliance.flowlog.names import LogFile, list_files
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.questions import (
    LAST_MS,
    FlowQuestion,
    Statement,
    flows_statement,
)
from appliance.flowlog.reader import FlowLogReader, LogSnapshot
from appliance.flowlog.samples.files import SampleFile, SamplePiece
from appliance.flowlog.schema import Rows, arrow_type, family_schema
from appliance.flowlog.views import stored_columns, view_statements
from appliance.flows import COLLECTION_TIME, OCTETS_PREFIX
from appliance.ratelimit import RateLimited

# Of the process, not of a reader: one is made for each question.
logger = RateLimited(logging.getLogger(__name__))

TRIES = 10
PINNED_FILES = 256
"""So many of the newest files are held open while a question runs; older ones are not merged any
more."""

INTERRUPT_SECONDS = 0.05
DESCRIPTORS = Path("/proc/self/fd")


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


class Source(NamedTuple):
    """Where the records of a family are: paths of sealed files, and rows of journals."""

    paths: list[str]
    rows: list[Rows]


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
    """

    def __init__(
        self, directory: Path, limits: QueryLimits | None = None, *, may_be_missing: bool = False
    ) -> None:
        self.directory, self.limits = directory, limits or QueryLimits()
        self.may_be_missing = may_be_missing
        self.damaged: list[str] = []
        self._reader = FlowLogReader(directory)

    def flows(self, question: FlowQuestion) -> Any:
        """Return matching records as a pyarrow table.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        octets = () if question.columns else self._octets_columns(question.options)
        return self.run(flows_statement(question, octets), question, question.options)

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
            source, columns = sources[options], sorted(statement.columns)
            sealed = _sealed_columns(connection, source)
            relation = _relation(connection, source, sealed, columns, options)
            sql = f"WITH log AS NOT MATERIALIZED ({relation}) {statement.sql}"
            return connection.sql(sql, params=statement.parameters).to_arrow_table()

        return self._retried((options,), question.since_ms, question.until_ms, ask)

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
            with ExitStack() as held, self._connection() as connection:
                paths = _pinned([piece.file for piece in pieces], held)
                selects = [
                    _sample_select(connection, path, piece, columns)
                    for path, piece in zip(paths, pieces, strict=True)
                ]
                relation = " UNION ALL ".join(selects)
                sql = f"WITH log AS NOT MATERIALIZED ({relation}) {statement.sql}"
                return connection.sql(sql, params=statement.parameters).to_arrow_table()
        except (OSError, duckdb.IOException, duckdb.InvalidInputException) as error:
            reason = str(error).partition("\n")[0]
            raise StorageError(f"samples cannot be read: {reason}") from error

    def oldest_ms(self) -> int:
        """Return when the oldest sealed flow was received; a far future when there is none."""
        files = list_files(self.directory, options=False)[0]
        return min((file.from_ms for file in files if file.kind == "parquet"), default=LAST_MS)

    def rows_between(self, since_ms: int, until_ms: int) -> int:
        """Return how many flow records the files have that hold some of a range; nothing is read
        but their ends.

        Raises
        ------
        StorageError
            The log cannot be read.
        """

        def ask(connection: Any, sources: dict[bool, Source]) -> int:
            source = sources[False]
            rows = sum(piece.n_rows for piece in source.rows)
            if source.paths:
                sql = f"SELECT sum(num_rows) FROM parquet_file_metadata({_listed(source)})"  # noqa: S608
                rows += connection.execute(sql).fetchone()[0] or 0
            return int(rows)

        return int(self._retried((False,), since_ms, until_ms, ask))

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
            for options, source in sources.items():
                sealed = _sealed_columns(connection, source)
                names = sealed.union(*(rows.arrays for rows in source.rows))
                octets = {name for name in names if name.startswith(OCTETS_PREFIX)}
                columns = stored_columns(options, octets)
                relation = _relation(connection, source, sealed, columns, options)
                for statement in view_statements(relation, columns, options, since_ms, until_ms):
                    connection.execute(statement)
            return _selected(connection, text)

        return self._retried((False, True), since_ms, until_ms, ask)

    def _retried(
        self,
        families: tuple[bool, ...],
        since_ms: int,
        until_ms: int,
        ask: Callable[[Any, dict[bool, Source]], Any],
    ) -> Any:
        """Ask, again where files went or are damaged; `ask` gets the sources by family."""
        if not self.may_be_missing and not (self.directory / "flows").is_dir():
            raise StorageError(f"no flow log in {self.directory}: has the collector run yet?")
        self.damaged = []
        without: set[Path] = set()
        for _ in range(TRIES):
            files: list[LogFile] = []
            try:
                with ExitStack() as held, self._connection() as connection:
                    sources = {}
                    for options in families:
                        snapshot = self._snapshot(options, since_ms, until_ms, without)
                        files += snapshot.files
                        sources[options] = Source(_pinned(snapshot.files, held), snapshot.rows)
                    return ask(connection, sources)
            except FileNotFoundError:
                continue
            except duckdb.IOException as error:
                if all(file.path.exists() for file in files):
                    self._leave_out_damaged(files, without, error)
            except duckdb.Error as error:
                self._leave_out_damaged(files, without, error)
        raise StorageError(f"flow log {self.directory} changes faster than it can be read")

    def _snapshot(
        self, options: bool, since_ms: int, until_ms: int, without: set[Path]
    ) -> LogSnapshot:
        """Return a family's files and rows, of the files only those that a range needs."""
        snapshot = self._reader.snapshot(options)
        self.damaged += [text for text in snapshot.damaged if text not in self.damaged]
        snapshot.files = [
            file
            for file in snapshot.files
            if file.path not in without and file.from_ms < until_ms and file.to_ms >= since_ms
        ]
        return snapshot

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Open a DuckDB with the limits of a question; it is interrupted when its time is over."""
        limits = self.limits
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{limits.memory_octets}B",
                "threads": limits.threads,
                "temp_directory": "",
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        over = threading.Event()
        timer = threading.Thread(
            target=_interrupt_after, args=(limits.seconds, over, connection), daemon=True
        )
        try:
            connection.execute(MACROS)
            timer.start()
            yield connection
        except duckdb.InterruptException as error:
            raise QueryError(
                f"the question took longer than {limits.seconds:g} s: shorten the time range"
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise QueryError(
                f"the question needs more than {limits.memory_octets} octets of memory: shorten the"
                " time range or ask for fewer rows"
            ) from error
        finally:
            over.set()
            if timer.is_alive():
                timer.join()
            connection.close()

    def _leave_out_damaged(
        self, files: list[LogFile], without: set[Path], error: Exception
    ) -> None:
        """Find the files that cannot be read, after DuckDB failed on one of them."""
        found = False
        for file in files:
            try:
                _check(file.path)
            except FileNotFoundError:
                found = True
            except DamagedFile as damage:
                found = True
                without.add(file.path)
                self.damaged.append(str(damage))
                logger.warning("damaged file is left out: %s", damage)
        if not found:
            raise QueryError(f"the question failed: {str(error).splitlines()[0]}") from error

    def _octets_columns(self, options: bool) -> set[str]:
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


def _selected(connection: Any, text: str) -> Any:
    """Run a user's SQL and return what its last statement selects."""
    try:
        statements = connection.extract_statements(text)
        if not statements or statements[-1].type != duckdb.StatementType.SELECT:
            raise InvalidQueryError("expected a SELECT")
        return connection.sql(text).to_arrow_table()
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise InvalidQueryError(str(error).partition("\n")[0]) from error


def _interrupt_after(seconds: float, over: threading.Event, connection: Any) -> None:
    """Interrupt a question when its time is up, again and again: one may come between two steps."""
    pause = seconds
    while not over.wait(pause):
        connection.interrupt()
        pause = INTERRUPT_SECONDS


def _sample_select(connection: Any, path: str, piece: SamplePiece, columns: list[str]) -> str:
    source = Source([path], [])
    sealed = _sealed_columns(connection, source)
    selected = [
        name if name in sealed else f"NULL::{_sql_type(name)} AS {name}" for name in columns
    ]
    time = f"{COLLECTION_TIME} >= {piece.from_ms} AND {COLLECTION_TIME} < {piece.to_ms}"
    return f"SELECT {', '.join(selected)} FROM {_sealed_sql(source)} WHERE {time}"  # noqa: S608


def _pinned(files: Sequence[LogFile | SampleFile], held: ExitStack) -> list[str]:
    """Return paths that DuckDB can open whatever is deleted meanwhile."""
    paths = [str(file.path) for file in files[:-PINNED_FILES]]
    for file in files[-PINNED_FILES:]:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        paths.append(str(DESCRIPTORS / str(descriptor)) if DESCRIPTORS.exists() else str(file.path))
    return paths


def _sealed_sql(source: Source) -> str:
    """Return what reads the sealed files; written out, since a view takes no parameters."""
    return f"read_parquet({_listed(source)}, union_by_name = true)"


def _listed(source: Source) -> str:
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in source.paths) + "]"


def _sealed_columns(connection: Any, source: Source) -> set[str]:
    """Return the columns that any of the sealed files has."""
    if not source.paths:
        return set()
    connection.execute(f"DESCRIBE SELECT * FROM {_sealed_sql(source)}")  # noqa: S608
    return {row[0] for row in connection.fetchall()}


def _relation(
    connection: Any, source: Source, sealed: set[str], columns: list[str], options: bool
) -> str:
    """Return the SELECT over journals and sealed files.

    Parameters
    ----------
    sealed
        Those of `columns` that sealed files have, and others; a column that is not there is null.
    """
    journal_rows = f"journal_rows_{options:d}"
    connection.register(journal_rows, _journal_table(source.rows, columns, options))
    select = f"SELECT {', '.join(columns)} FROM {journal_rows}"  # noqa: S608
    if not source.paths:
        return select
    selected = [
        name if name in sealed else f"NULL::{_sql_type(name)} AS {name}" for name in columns
    ]
    return f"{select} UNION ALL SELECT {', '.join(selected)} FROM {_sealed_sql(source)}"  # noqa: S608


def _sql_type(name: str) -> str:
    kinds = {
        pa.uint8(): "UTINYINT",
        pa.uint16(): "USMALLINT",
        pa.uint32(): "UINTEGER",
        pa.uint64(): "UBIGINT",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
    }
    return kinds[arrow_type(name)]


def _journal_table(rows: list[Rows], columns: list[str], options: bool) -> Any:
    schema = family_schema(options)
    fields = [
        schema.field(name) if name in schema.names else pa.field(name, arrow_type(name))
        for name in columns
    ]
    tables = [piece.table(columns) for piece in rows]
    wanted = pa.schema(fields)
    return pa.concat_tables([wanted.empty_table(), *tables])


def _check(path: Path) -> None:
    """Read a whole file the careful way.

    Raises
    ------
    DamagedFile
        Something in it is not what was written.
    """
    file = ParquetFile(path)
    try:
        for index in range(len(file.groups)):
            file.read(index)
    finally:
        file.close()
