"""The history of the flow log into ClickHouse, step by step: by this process, or by a collector
that runs, whose loader has the log and is watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from appliance.errors import StorageError
from appliance.flowlog import Cursor
from appliance.plugins.clickhouse.insertion import Insertion
from appliance.plugins.clickhouse.ownership import WrittenByOther
from appliance.plugins.clickhouse.progress import read_newest
from appliance.plugins.clickhouse.status import read_status
from appliance.plugins.clickhouse.writer import ClickHouseLoader

_WATCH_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


class Filling:
    """Goes on until all rows before a place of the log are in ClickHouse.

    Parameters
    ----------
    tell
        Called with a sentence when something hinders it, once for each.
    """

    def __init__(
        self,
        loader: ClickHouseLoader,
        end: Cursor,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.loader, self.end = loader, end
        self._tell, self._sleep = tell, sleep
        self._told = ""
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def positions(self) -> Iterator[Cursor]:
        """Yield the place up to which all is in ClickHouse, until that is the end.

        Raises
        ------
        StorageError
            It cannot even begin; what comes later is waited for.
        """
        self.loader.cluster.connect()
        place = self._step()
        yield place
        while place < self.end:
            try:
                place = self._step()
            except StorageError as error:
                self._say(f"{error}; trying again")
                self._sleep(self._pause_seconds)
                self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
                continue
            self._pause_seconds = _FIRST_PAUSE_SECONDS
            yield place

    def _step(self) -> Cursor:
        try:
            self.loader.ownership.hold()
        except WrittenByOther:
            self._say_what_hinders_the_other()
            place = self._place_of_other()
            if place < self.end:
                self._sleep(_WATCH_SECONDS)
            return place
        report = self.loader.load_once(time.time())
        for text in report.warnings:
            self._tell(text)
        if not (report.rows or report.busy or self.loader.position() >= self.end):
            self._sleep(_WATCH_SECONDS)
        return self.loader.position()

    def _place_of_other(self) -> Cursor:
        """Return how far the process is that has the log."""
        cluster, collector = self.loader.cluster, self.loader.collector
        stored = read_newest(cluster, collector, surely=False)
        if stored is None or stored.batch.log != self.loader.ownership.read_id():
            return Cursor()
        batch = stored.batch
        # The next batch says that this one is there; the last of the history may have none.
        if batch.first < self.end <= batch.end:
            insertion = Insertion(cluster, collector, batch, self.loader.tables)
            is_there = not insertion.missing()
            return batch.end if is_there else batch.first
        return batch.first

    def _say_what_hinders_the_other(self) -> None:
        status = read_status(self.loader.status.path.parent)
        if status is not None and status[0]["failing_since"]:
            self._say(f"the collector's loader waits: {status[1]}")

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)
