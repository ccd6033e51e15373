"""The questions that roll-ups answer, asked of a query source over the flows of all collectors.

Names of services, networks inside and applications are the same as in roll-ups, so that an answer
is the same whichever of both gives it; only that every minute can be asked for, and no name is left
out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from appliance.contracts import (
    KeyedMeasure,
    Measure,
    MeasureName,
    QuerySource,
    Selection,
    SumKey,
    SumsQuestion,
    TopAnswer,
)
from appliance.errors import StorageError
from appliance.flowlog import QueryLimits
from appliance.flows import address_text
from appliance.plugins.rollups.application_names import UNKNOWN, Applications
from appliance.plugins.rollups.classify import Classifier
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.questions import answer, sum_measures
from appliance.services import port_name

LATEST = (1 << 32) // 60 * 60
"""The end of a range that is open."""

_MINUTE = 60
_MOST_NAMES = 100_000
_TIED_NAMES = 64
"""So many more are read, as names that are equal by all measures are put in order here."""

Address = tuple[int, int]
Row = tuple[int, ...]

_KEYS: Mapping[Dimension, tuple[SumKey, ...]] = {
    Dimension.TOTAL: (),
    Dimension.PROTOCOL: ("protocol",),
    Dimension.APPLICATION: ("application",),
    Dimension.SOURCE: ("source",),
    Dimension.DESTINATION: ("destination",),
    Dimension.PORT: ("service",),
}
_SEARCHED = (Dimension.SOURCE, Dimension.DESTINATION)


class SourceQuestions:
    """Asks a source for sums.

    Parameters
    ----------
    address_of
        Returns the address of an exporter by its identifier; None where there is none.
    applications
        Returns the names that exporters gave.
    """

    def __init__(
        self,
        source: QuerySource,
        limits: QueryLimits,
        classifier: Classifier,
        address_of: Callable[[int], Address | None],
        applications: Callable[[], Applications],
    ) -> None:
        self._source, self._limits = source, limits
        self._address_of, self._applications = address_of, applications
        self._services = classifier.services
        self._inside = tuple(classifier.local.tests)
        self._named_ports = tuple(self._services.named_ports())

    def totals(self, selection: Selection) -> Measure:
        """Return the sums of everything selected."""
        rows = self._rows(self._question(selection, ()), selection)
        return Measure(*rows[0]) if rows else Measure()

    def totals_by_address(self, selection: Selection) -> dict[Address, Measure]:
        """Return the sums of each exporter, by its address."""
        rows = self._rows(self._question(selection, ("exporter",)), selection)
        return {(hi, lo): Measure(*sums) for hi, lo, *sums in rows}

    def top(
        self, dimension: Dimension, selection: Selection, by: MeasureName, limit: int | None
    ) -> TopAnswer:
        """Return the largest names of a dimension."""
        question = replace(self._question(selection, _KEYS[dimension]), order=by)
        if dimension in _SEARCHED:
            most = _MOST_NAMES if limit is None else limit + _TIED_NAMES
            question = replace(question, limit=most)
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for name, values in self._named(dimension, self._rows(question, selection)):
            for place, value in enumerate(values):
                sums[name][place] += value
        rows = [KeyedMeasure(name, *values) for name, values in sums.items()]
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        total = self.totals(selection) if dimension in _SEARCHED else sum_measures(rows)
        return answer(rows[:limit], total)

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries, seconds UTC, whole minutes."""
        sums = [[0, 0, 0] for _ in boundaries[1:]]
        if not sums:
            return []
        within = replace(selection, since=boundaries[0], until=boundaries[-1])
        step = math.gcd(*(after - before for before, after in pairwise(boundaries)))
        question = replace(self._question(within, ("bin",)), step=max(step, _MINUTE))
        for number, *values in self._rows(question, selection):
            start = boundaries[0] + number * question.step
            of_bin = sums[bisect_right(boundaries, start) - 1]
            for place, value in enumerate(values):
                of_bin[place] += value
        return [Measure(*values) for values in sums]

    def _question(self, selection: Selection, keys: tuple[SumKey, ...]) -> SumsQuestion:
        since = (selection.since or 0) // _MINUTE * _MINUTE
        until = LATEST if selection.until is None else -(-selection.until // _MINUTE) * _MINUTE
        exporter = None
        if selection.exporter is not None:
            # An exporter without an address has no flows: nobody has this one.
            exporter = self._address_of(selection.exporter) or (0, 0)
        return SumsQuestion(
            keys, since, until, exporter, selection.direction, self._inside, self._named_ports
        )

    def _rows(self, question: SumsQuestion, selection: Selection) -> list[Row]:
        """Return keys and sums of each row, as whole numbers.

        Raises
        ------
        StorageError
            A part of the source does not answer, and the selection does not accept that.
        """
        if question.since >= question.until:
            return []
        sums = self._source.sums(question, self._limits)
        note_missing(selection, sums.missing)
        columns = [column.values.tolist() for column in sums.columns.values()]
        return list(zip(*columns, strict=True))

    def _named(
        self, dimension: Dimension, rows: Iterable[Row]
    ) -> Iterable[tuple[str, Sequence[int]]]:
        if dimension is Dimension.APPLICATION:
            return self._applications_of(rows)
        name: Callable[[Row], str] = {
            Dimension.TOTAL: lambda row: "",
            Dimension.PROTOCOL: lambda row: str(row[0]),
            Dimension.PORT: lambda row: port_name(row[0], row[1]),
        }.get(dimension, lambda row: address_text(row[0], row[1]))
        return ((name(row), row[-3:]) for row in rows)

    def _applications_of(self, rows: Iterable[Row]) -> Iterable[tuple[str, Sequence[int]]]:
        """Yield the name that the session told, else the name of the port, and the sums."""
        applications, services = self._applications(), self._services
        for hi, lo, protocol, port, application, session, *sums in rows:
            name = None
            if application:
                name = applications.name(address_text(hi, lo), session, application)
            yield name or services.port_service(protocol, port) or UNKNOWN, sums


def note_missing(selection: Selection, names: Sequence[str]) -> None:
    """Tell what does not answer to who accepts sums without it.

    Raises
    ------
    StorageError
        Nobody does: sums must not be too low.
    """
    if names and selection.on_missing is None:
        raise StorageError(f"{names[0]} does not answer: its flows would be missing")
    if names and selection.on_missing is not None:
        selection.on_missing(names)
