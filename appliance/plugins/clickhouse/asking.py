"""One question to ClickHouse: within limits, cancelled there too, and which shards are missing."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from appliance.errors import QueryCancelledError, QueryError, StorageError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from appliance.plugins.clickhouse.http import Refused, Server, Unreachable, literal, try_each
from appliance.plugins.clickhouse.native import Columns
from appliance.plugins.clickhouse.schema import FLOWS, PARTS, SHARDS, Layout

_TIME_EXCEEDED = (159, 160)
_MEMORY_EXCEEDED = 241
_CANCELLED = 394
_NO_TABLE = (60, 81)
_READ_OCTETS = 1 << 17
"""Of each column and thread: with ClickHouse's own 1 MiB, all columns take more than a question may
have."""

_LONGEST_QUERY = 64 << 20
_MOST_ELEMENTS = 20_000_000
BLOCK_ROWS = 65_536
_LEAST_SECONDS = 0.05
_KILL_SECONDS = 3.0
_GRACE_SECONDS = 1.0
_SILENCE_SECONDS = 10
_FOREVER_SECONDS = 86_400.0

Result = TypeVar("Result")


class Asking:
    """Asks the first server that is there, until the time of a question is over.

    Parameters
    ----------
    control
        Cancels; the server stops as well.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        layout: Layout,
        limits: QueryLimits,
        control: QueryControl | None = None,
    ) -> None:
        self._servers, self._layout = servers, layout
        self._limits, self._control = limits, control
        self._end = time.monotonic() + limits.seconds

    def rows(self, sql: str) -> list[list[Any]]:
        """Return the rows of a SELECT.

        Raises
        ------
        QueryError
            It met a limit, or was cancelled.
        StorageError
            No server answers, or one refuses.
        """
        return self._ask(lambda server, settings: server.rows(sql, **settings))

    def columns(self, sql: str, block_rows: int = BLOCK_ROWS) -> Columns:
        """Return the columns of a SELECT; raises what `rows` does.

        Parameters
        ----------
        block_rows
            So many rows are read at once: fewer where each becomes many.
        """
        more = {"max_block_size": block_rows}
        return self._ask(lambda server, settings: server.columns(sql, **settings, **more))

    def columns_of(self, table: str) -> frozenset[str]:
        """Return the columns that a table has on the server that answers."""
        where = f"database = {literal(self._layout.database)} AND table = {literal(table)}"
        names = self.rows(f"SELECT name FROM system.columns WHERE {where}")  # noqa: S608
        if not names:
            problem = f"ClickHouse has no table {self._layout.database}.{table} yet"
            raise StorageError(problem)
        return frozenset(str(name) for (name,) in names)

    def first_day(self, of: str = FLOWS) -> int | None:
        """Return the first day (since 1970, UTC) that has flows, or rows of another table."""
        parts, table = "system.parts", self._layout.local(of)
        if self._layout.cluster:
            parts = PARTS
        ((day, n),) = self.rows(
            f"SELECT min(toUInt32OrZero(partition)), count() FROM {parts}"  # noqa: S608
            f" WHERE database = {literal(self._layout.database)} AND table = {literal(table)}"
            " AND active"
        )
        return int(day) if n else None

    @contextmanager
    def missing_shards(self) -> Iterator[list[str]]:
        """Look which shards answer before and after a block; the list is whole when it ends."""
        missing = self._silent_shards()
        yield missing
        missing += [name for name in self._silent_shards() if name not in missing]

    def _silent_shards(self) -> list[str]:
        """Return the shards of which no server answers the one that is asked.

        Every server says which of the cluster's servers it is itself.
        """
        if not self._layout.cluster:
            return []
        cluster = literal(self._layout.cluster)
        names = "shard_num, host_name, port"
        listed = self.rows(
            f"SELECT {names} FROM system.clusters WHERE cluster = {cluster} ORDER BY {names}"  # noqa: S608
        )
        answers = self.rows(
            f"SELECT shard_num, max(is_local), count() FROM {SHARDS}"  # noqa: S608
            f" WHERE cluster = {cluster} GROUP BY shard_num"
        )
        shards: dict[int, list[str]] = {}
        for shard, host, port in listed:
            shards.setdefault(shard, []).append(f"{host}:{port}")
        here = {shard for shard, is_local, _ in answers if is_local}
        n_rows = sum(n for _, _, n in answers)
        n_silent = len(shards) - n_rows // max(len(listed), 1)
        if not n_silent:
            return []
        silent = [shard for shard in shards if shard not in here]
        if len(silent) != n_silent:
            return [f"{n_silent} of {len(shards)} shards"]
        return [f"shard {shard} ({', '.join(shards[shard])})" for shard in silent]

    def _ask(self, ask: Callable[[Server, dict[str, Any]], Result]) -> Result:
        def ask_one(server: Server) -> Result:
            left = self._left_seconds()
            query = _Running(server, secrets.token_hex(16))
            control = self._control
            watched = nullcontext() if control is None else control.watch(query)
            with watched:
                try:
                    return ask(server, self._settings(query.id, left))
                except Unreachable:
                    # It may be at it still.
                    query.interrupt()
                    raise

        try:
            return try_each(self._servers, ask_one)
        except Refused as error:
            raise self._in_our_words(error) from error
        except Unreachable as error:
            if time.monotonic() >= self._end:
                raise StorageError(
                    f"ClickHouse does not answer within {self._limits.seconds:g} s: {error}"
                ) from error
            raise

    def _left_seconds(self) -> float:
        left = self._end - time.monotonic()
        if left < _LEAST_SECONDS:
            raise Unreachable("its time is over")
        return _FOREVER_SECONDS if math.isinf(left) else left

    def _settings(self, query_id: str, seconds: float) -> dict[str, Any]:
        memory = self._limits.memory_octets
        return {
            # The server stops first, and says why.
            "seconds": seconds + _GRACE_SECONDS,
            "query_id": query_id,
            "readonly": 2,
            "max_execution_time": max(int(seconds), 1),
            "max_memory_usage": memory,
            "max_bytes_before_external_group_by": memory // 2,
            "max_bytes_before_external_sort": memory // 2,
            "max_threads": self._limits.threads,
            "max_read_buffer_size": _READ_OCTETS,
            "max_query_size": _LONGEST_QUERY,
            "max_ast_elements": _MOST_ELEMENTS,
            "max_expanded_ast_elements": _MOST_ELEMENTS,
            "skip_unavailable_shards": int(bool(self._layout.cluster)),
            "receive_timeout": _SILENCE_SECONDS,
        }

    def _in_our_words(self, error: Refused) -> QueryError | StorageError:
        limits = self._limits
        if self._control is not None and self._control.is_cancelled:
            return QueryCancelledError("the question was cancelled")
        if error.code in _TIME_EXCEEDED or error.code == _CANCELLED:
            return QueryError(
                f"the question took longer than {limits.seconds:g} s: shorten the time range"
            )
        if error.code == _MEMORY_EXCEEDED:
            return QueryError(
                f"the question needs more than {limits.memory_octets} octets of memory: shorten the"
                " time range or ask for fewer rows"
            )
        return error


class _Running:
    """A query on a server, for `QueryControl`."""

    def __init__(self, server: Server, query_id: str) -> None:
        self._server, self.id = server, query_id
        self._is_killed = threading.Event()

    def interrupt(self) -> None:
        """Kill it there, without waiting."""
        if not self._is_killed.is_set():
            self._is_killed.set()
            threading.Thread(target=self._kill, daemon=True).start()

    def query_progress(self) -> float:
        """Return nothing: HTTP tells no progress."""
        return -1.0

    def _kill(self) -> None:
        sql = f"KILL QUERY WHERE query_id = {literal(self.id)} ASYNC"
        try:
            self._server.command(sql, _KILL_SECONDS)
        except StorageError:
            # It comes to its own limit of time.
            self._is_killed.clear()
