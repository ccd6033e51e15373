"""The store where a query source answers in place of roll-ups, over the flows of all collectors.

Names of exporters and what is written stay as they are.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

from appliance.contracts import (
    ApplicationNames,
    ColumnSums,
    ExporterRecord,
    Measure,
    MeasureName,
    QuerySource,
    Selection,
    TopAnswer,
)
from appliance.contracts import Dimension as DimensionName
from appliance.errors import QueryError, StorageError
from appliance.flows import address_halves
from appliance.plugins.rollups.application_names import (
    ApplicationName,
    Applications,
    clean_name,
    names_in_database,
)
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.source_exporters import SourceExporters
from appliance.plugins.rollups.source_questions import SourceQuestions, note_missing
from appliance.plugins.rollups.store import SqlStore
from appliance.settings.file import Settings

_NAMES_SECONDS = 60.0
_MINUTE = 60


class SourceStore(SqlStore):
    """See `SqlStore`; sums come from a source, which has every minute of them."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        source: QuerySource,
        limits: StoreLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url, settings, limits, clock)
        self._source = source
        self._questions = SourceQuestions(
            source, self._search_limits, self.classifier, self._address_of, self._known_applications
        )
        self._source_exporters = SourceExporters(self._questions, self._exporters, clock)
        self._applications: tuple[float, Applications] | None = None

    def totals(self, selection: Selection) -> Measure:
        """Return the sums of everything selected."""
        return self._questions.totals(selection)

    def totals_by_exporter(self, selection: Selection) -> Mapping[int, Measure]:
        """Return the sums for each exporter that sent something in the range."""
        # Exporters that have no identifier yet would be left out.
        note_missing(selection, self._source_exporters.refresh())
        return self._source_exporters.identified(self._questions.totals_by_address(selection))

    def top(
        self,
        dimension: DimensionName,
        selection: Selection,
        by: MeasureName = "octets",
        limit: int | None = None,
    ) -> TopAnswer:
        """Return the largest names of a dimension."""
        return self._questions.top(Dimension[dimension.upper()], selection, by, limit)

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries."""
        return self._questions.series(boundaries, selection)

    def sums_by_columns(self, columns: Set[str], since: int, until: int) -> ColumnSums | None:
        """Return nothing: the query engine asks the source itself."""
        return None

    def bin_at(
        self, moment: int, dimension: DimensionName = "total", exporter: int | None = None
    ) -> tuple[int, int]:
        """Return start and end of a minute."""
        start = moment // _MINUTE * _MINUTE
        return start, start + _MINUTE

    def exporters(self) -> list[ExporterRecord]:
        """Return every exporter that ever sent a flow record to any collector."""
        # Where the source is away, those that are known are there all the same.
        with contextlib.suppress(StorageError):
            self._source_exporters.refresh()
        return super().exporters()

    def missing_exporters(self) -> Sequence[str]:
        """Return what did not answer when exporters were looked for last."""
        return self._source_exporters.missing

    def forget_exporter(self, exporter: int) -> None:
        """Forget an exporter until it sends again; the loader deletes what is stored of it."""
        super().forget_exporter(exporter)
        self._exporters.reset()

    def _address_of(self, exporter: int) -> tuple[int, int] | None:
        texts = {record.id: record.address for record in self._exporters.all()}
        return address_halves(texts[exporter]) if exporter in texts else None

    def _known_applications(self) -> Applications:
        """Return the names that exporters gave any collector, as of the last minute."""
        known = self._applications
        if known is None or time.monotonic() >= known[0] + _NAMES_SECONDS:
            applications = Applications(self.classifier.services)
            applications.restore(self._names_of_source())
            with self.flows.transaction():
                applications.restore(names_in_database(self.flows))
            known = self._applications = (time.monotonic(), applications)
        return known[1]

    def _names_of_source(self) -> Iterator[ApplicationName]:
        """Yield the names that collectors told the source; it does not know observation domains."""
        read: ApplicationNames | None = getattr(self._source, "application_names", None)
        if read is None:
            return
        # A database of before has none; answers then have the names of ports.
        with contextlib.suppress(StorageError, QueryError):
            for address, port, application, name in read(self._search_limits):
                yield ApplicationName(address, port, 0, application, clean_name(name))
