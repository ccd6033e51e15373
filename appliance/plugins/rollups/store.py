"""A `FlowStore` of roll-ups in SQLite or MySQL, with exporters beside them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from appliance.collector.newcomers import exporters_in_settings
from appliance.contracts import (
    ColumnSums,
    ExporterRecord,
    InterfaceMeasure,
    LoadReport,
    Measure,
    MeasureName,
    Selection,
    TopAnswer,
)
from appliance.contracts import Dimension as DimensionName
from appliance.errors import StorageError
from appliance.flowlog import FLOW_LOG_FOLDER, QueryLimits
from appliance.plugins.rollups.classify import Classifier, LocalNetworks
from appliance.plugins.rollups.column_sums import sums_by_columns
from appliance.plugins.rollups.configuration import StoreLimits, store_limits
from appliance.plugins.rollups.dimensions import EXACT, Dimension
from appliance.plugins.rollups.exporter_records import MOST_EXPORTERS, Exporters
from appliance.plugins.rollups.flow_tables import FLOW_MIGRATIONS
from appliance.plugins.rollups.housekeeping import expire, flow_log_columns, health
from appliance.plugins.rollups.interface_sums import sums_by_interface
from appliance.plugins.rollups.largest import NAMED_SIZES, LargestQuestions
from appliance.plugins.rollups.loading import RollupLoader
from appliance.plugins.rollups.log_names import LogQuestions
from appliance.plugins.rollups.questions import EXACT_SIZES, ExactQuestions
from appliance.plugins.rollups.rebuild import begin_rebuild, last_segment
from appliance.plugins.rollups.salvage import salvage
from appliance.services import read_services
from appliance.settings.file import Settings
from appliance.settings.own_networks import inside_prefixes
from appliance.sql.addresses import database_address
from appliance.sql.appliance_database import appliance_database
from appliance.sql.database import DamagedDatabase, SqlDatabase
from appliance.sql.migrations import migrate

_REMEDY = "it is set aside, and filled again from what is readable of it and from the flow log"


class SqlStore:
    """Roll-ups and exporters; see `appliance.contracts.FlowStore`.

    Parameters
    ----------
    clock
        Seconds since 1970; tests give their own.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        limits: StoreLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        folder = settings["data_directory"]
        self.limits = limits or store_limits(settings)
        self.log = folder / FLOW_LOG_FOLDER
        address = database_address(url, folder)
        self.flows = SqlDatabase(
            address,
            lambda db: migrate(db, FLOW_MIGRATIONS, "flow"),
            content="flows",
            remedy=_REMEDY,
        )
        self.appliance = appliance_database(settings["database"], folder)
        self._clock = clock
        self._checked = False
        self._exporters = Exporters(self.appliance, self.flows, exporters_in_settings(settings))
        self.classifier = Classifier(read_services(), LocalNetworks.of(inside_prefixes(settings)))
        self.loader = RollupLoader(
            self.flows, self._exporters, self.log, self.classifier, self.limits
        )
        self._exact = ExactQuestions(self.flows, self.limits)
        self._search_limits = QueryLimits(
            settings["search.memory"], settings["search.threads"], settings["search.timeout"]
        )
        log = LogQuestions(self.log, self._search_limits, self.classifier.local)
        self._largest = LargestQuestions(self.flows, self.limits, self._exact, log)

    # Write side.

    def load_once(self, now: float) -> LoadReport:
        """Take over what is new in the flow log; a damaged database is replaced first."""
        try:
            if not self._checked:
                self.flows.check()
                self._checked = True
            report = self.loader.load_once(now)
        except DamagedDatabase as error:
            if error.database is not self.flows:
                raise
            self.loader.forget()
            done = salvage(self.flows, self.log, self.classifier, now)
            return LoadReport(busy=True, warnings=[str(error), done])
        self.flows.take_orphan()  # The file that came in its place is in use now.
        return report

    def last_segment(self) -> int:
        """Return the number of the newest segment of the flow log."""
        return last_segment(self.log)

    def rebuild(self, now: float) -> str:
        """Drop what the flow log can bring back; `load_once` then fills it again."""
        return begin_rebuild(self.flows, self.log, self.classifier, now)

    def cursor(self) -> tuple[int, int] | None:
        """Return the position up to which the flow log is not needed any more."""
        return self.loader.cursor()

    def expire(self, now: float) -> int:
        """Delete bins past their time and forget exporters; return the number of bins' rows."""
        self.loader.forget_silent(now)
        return expire(self.flows, self.limits, now)

    # Read side.

    def totals(self, selection: Selection) -> Measure:
        """Return the sums of everything selected; two queries."""
        with self.flows.transaction():
            return self._exact.totals(self._exact.range(selection, self._clock()))

    def totals_by_exporter(self, selection: Selection) -> Mapping[int, Measure]:
        """Return the sums for each exporter that sent something in the range; two queries."""
        with self.flows.transaction():
            return self._exact.totals_by_exporter(self._exact.range(selection, self._clock()))

    def top(
        self,
        dimension: DimensionName,
        selection: Selection,
        by: MeasureName = "octets",
        limit: int | None = None,
    ) -> TopAnswer:
        """Return the largest names of a dimension."""
        wanted = Dimension[dimension.upper()]
        if wanted not in EXACT:
            return self._largest.top(wanted, selection, by, limit, self._clock())
        with self.flows.transaction():
            asked = self._exact.range(selection, self._clock())
            return self._exact.top(wanted, asked, by, limit)

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries; two queries."""
        with self.flows.transaction():
            return self._exact.series(boundaries, selection, self._clock())

    def sums_by_columns(self, columns: Set[str], since: int, until: int) -> ColumnSums | None:
        """Return sums by columns of the flow log, over the whole bins in a range."""
        with self.flows.transaction():
            return sums_by_columns(self._exact, self.limits, columns, (since, until), self._clock())

    def sums_by_interface(self, since: int, limit: int) -> list[InterfaceMeasure]:
        """Return the interfaces with the most octets since the start of a day."""
        with self.flows.transaction():
            return sums_by_interface(self._exact, self.limits, since, limit, self._clock())

    def bin_at(
        self, moment: int, dimension: DimensionName = "total", exporter: int | None = None
    ) -> tuple[int, int]:
        """Return start and end of the smallest bin that a range can begin or end with."""
        sizes = EXACT_SIZES if Dimension[dimension.upper()] in EXACT else NAMED_SIZES
        if dimension == "port" and exporter is not None:
            # The flow log, which has the minutes of one exporter, does not know services.
            sizes = sizes[1:]
        with self.flows.transaction():
            return self._exact.bin_at(moment, sizes, self._clock())

    def columns(self) -> Mapping[str, Mapping[str, Any]]:
        """Describe the columns of the flow log under their names in SQL tables."""
        return flow_log_columns()

    def exporters(self) -> list[ExporterRecord]:
        """Return every exporter that ever sent a flow record, by identifier; one query."""
        return self._exporters.all()

    def change_exporter(
        self, exporter: int, *, name: str | None = None, info: str | None = None
    ) -> None:
        """Set an exporter's name or info."""
        self._exporters.change(exporter, name, info, self._clock())

    def forget_exporter(self, exporter: int) -> None:
        """Forget an exporter; the loader deletes what is stored of it."""
        self._exporters.delete(exporter, self._clock())

    def health(self) -> Mapping[str, Any]:
        """Return what an operator wants to know."""
        exporters: dict[str, int] = {}
        # Who looks after accounts says that their database is away.
        with contextlib.suppress(StorageError):
            exporters = {"exporters": self._exporters.count(), "exporter_places": MOST_EXPORTERS}
        return {**health(self.flows, self.log, self._clock()), **exporters}

    def close(self) -> None:
        """Close the connections of this thread."""
        self.flows.close()
        self.appliance.close()
