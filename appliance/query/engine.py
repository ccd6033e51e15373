"""QueryEngine: questions answered from a store's sums, the flow log or samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from appliance.flowlog import FLOW_LOG_FOLDER, SAMPLES_FOLDER
from appliance.flowlog.conditions import Condition
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.option_names import needs_exporters, with_names
from appliance.flowlog.pages import FlowPage, PageCursor, flow_page
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import LAST_MS, FlowQuestion, Statement
from appliance.flowlog.samples.files import SamplePiece, list_samples, read_description
from appliance.flowlog.search import FlowSearch, TimeRange
from appliance.flows import AnyArray
from appliance.query.planner import sample_pieces, thin_for_question
from appliance.query.question import (
    DISTINCT,
    MAX_GROUPS,
    SAMPLED_ROWS,
    SUMS,
    Provenance,
    Question,
    SeriesAnswer,
    SeriesRow,
    Statistics,
    TopAnswer,
)
from appliance.query.source_search import SourceSearch, search_of
from appliance.query.statements import LATE_MS, question_items, series_statement, top_statement
from appliance.query.store_sums import OpenStore, StoreSums
from appliance.settings.file import Settings

if TYPE_CHECKING:
    from appliance.flowlog.exports import FlowExport

AnyQuestion = TypeVar("AnyQuestion", Question, FlowQuestion)
PERCENTILE = 0.95
_FILE_LEFT_OUT, _MISSING = "a file that could not be read", "a part of the database"
_OF_SAMPLES = (*(f"{name}_error" for name in SUMS), SAMPLED_ROWS)
WAY_MS = 15_000
"""How long a flow is under way from the exporter into answers, at most, on a quiet appliance."""


class Range(NamedTuple):
    """A range of collection times, half open, milliseconds UTC."""

    since_ms: int
    until_ms: int


class Group(NamedTuple):
    """The rows [start, end) of a series that have the same keys, or are the rest of all."""

    keys: Mapping[str, Any]
    is_other: bool
    start: int
    end: int


class QueryEngine:
    """Answers questions about one flow log and its samples.

    Parameters
    ----------
    search
        Its limits are those of every question.
    samples
        The folder of samples.
    exact_rows
        Questions over more records than this are answered from samples, where there are some.
    open_store
        Opens the store whose sums answer questions that need nothing else; None: there is none.
    within
        Conditions of every flow that any answer is about, whatever a question says.
    """

    def __init__(
        self,
        search: FlowSearch,
        samples: Path | None = None,
        exact_rows: int = 0,
        open_store: OpenStore | None = None,
        within: Sequence[Condition] = (),
    ) -> None:
        self.search, self.samples, self.exact_rows = search, samples, exact_rows
        self._exact_rows = None if samples is None else exact_rows
        self.within = tuple(within)
        self._sums = open_store and StoreSums(search, open_store, exact_rows)

    def with_limits(self, limits: QueryLimits, control: QueryControl) -> QueryEngine:
        """Return an engine over the same flows whose questions have other limits and a control."""
        search = self.search.with_limits(limits, control)
        return QueryEngine(search, self.samples, self.exact_rows, within=self.within)

    def bound_to(self, within: Sequence[Condition]) -> QueryEngine:
        """Return an engine that answers about those flows only that satisfy these, too."""
        bound = QueryEngine(self.search, self.samples, self.exact_rows, within=within)
        bound._sums = self._sums
        return bound

    def reads_many(self, question: Question) -> bool:
        """Tell whether an exact answer reads more records than are read for one as a rule.

        Raises
        ------
        StorageError
            The log cannot be read.
        """
        return self.search.rows_between(question.since_ms, question.until_ms) > self.exact_rows

    def top(self, question: Question) -> TopAnswer:
        """Return the largest groups.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        began = time.monotonic()
        question = self._within_bounds(question)
        table, provenance = self._top(question)
        parts = table.column("part").to_numpy()
        is_sampled = provenance.method == "sampled"
        figures = _with_errors(table, is_sampled).select(
            [*SUMS, *(_OF_SAMPLES if is_sampled else ()), *question.measures]
        )
        keys = [item.name for item in question_items(question)]
        total = figures.slice(int(np.searchsorted(parts, 2))).to_pylist()
        other = figures.slice(int(np.searchsorted(parts, 1)), int((parts == 1).sum())).to_pylist()
        rows = figures.slice(0, int((parts == 0).sum()))
        for place, name in enumerate(keys):
            rows = rows.add_column(place, name, table.column(name).slice(0, rows.num_rows))
        return TopAnswer(
            self._with_names(rows, question),
            other[0] if other else None,
            {name: value or 0 for name, value in total[0].items()},
            self._public_provenance(provenance, began, question),
        )

    def series(self, question: Question, now_ms: int) -> SeriesAnswer:
        """Return traffic over time of the largest groups, and of the rest together.

        The range is widened to whole bins, which begin at multiples of the step since 1970.

        Parameters
        ----------
        now_ms
            Says which bins are complete.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        if question.step_ms is None:
            raise ValueError("a series has a step")
        began, step = time.monotonic(), question.step_ms
        first, last = question.since_ms // step, (question.until_ms - 1) // step
        whole = replace(
            self._within_bounds(question), since_ms=first * step, until_ms=(last + 1) * step
        )
        received = Range(whole.since_ms, whole.until_ms + LATE_MS)
        if isinstance(self.search, SourceSearch):
            table, provenance = self.search.series(whole, *received, self._exact_rows)
        else:
            table, provenance = self._ask(whole, series_statement, received)
        bins = table.column("bin").to_numpy() - first
        values, variances = (table.column(n).to_numpy() for n in ("value", "variance"))
        complete = Range(self.stored_from_ms(), min(now_ms - WAY_MS, whole.until_ms))
        counted = whole_bins(complete, whole, step)
        rows = []
        names = [item.name for item in question_items(question)]
        for keys, is_other, start, end in self._named_groups(_groups(table, names), table, whole):
            filled, error = np.zeros(last - first + 1), np.zeros(last - first + 1)
            filled[bins[start:end]] = values[start:end]
            error[bins[start:end]] = np.sqrt(variances[start:end])
            figures = statistics(filled, counted, step)
            rows.append(SeriesRow(keys, filled.tolist(), figures, is_other, error.tolist()))
        return SeriesAnswer(
            [number * step for number in range(first, last + 1)],
            step,
            rows,
            min(max(complete.since_ms, whole.since_ms), whole.until_ms),
            complete.until_ms,
            self._public_provenance(provenance, began, question),
        )

    def page(self, question: FlowQuestion, after: PageCursor | None) -> FlowPage:
        """Return a page of single flows, newest first; see `flow_page`."""
        question = self._within_bounds(question)
        page = flow_page(self.search, question, after)
        # Flows without their exporters have no names that another exporter may have said.
        is_hidden = bool(self.within) and needs_exporters(page.rows.schema.names)
        span_ms, exporters = _page_span(question, after, page), () if is_hidden else None
        return page._replace(rows=with_names(self.search, page.rows, span_ms, exporters))

    def export(self, question: FlowQuestion, form: str) -> FlowExport:
        """Return the flows of a question as a file, however long it takes to read."""
        from appliance.flowlog.exports import FlowExport

        return FlowExport(self.search.without_deadline(), self._within_bounds(question), form)

    def left_out(self) -> tuple[str, ...]:
        """Return what the last answer had to leave out, a sentence each."""
        return self._anonymous(self.search.damaged, _FILE_LEFT_OUT)

    def missing(self) -> tuple[str, ...]:
        """Return what did not answer so far, a name each."""
        return self._anonymous(self.search.missing, _MISSING)

    def _within_bounds(self, question: AnyQuestion) -> AnyQuestion:
        return replace(question, conditions=(*self.within, *question.conditions))

    def _public_provenance(
        self, provenance: Provenance, began: float, question: Question
    ) -> Provenance:
        shown = replace(provenance, seconds=time.monotonic() - began, dedupe=question.dedupe)
        if not self.within:
            return shown
        return replace(
            shown,
            rows_scanned=None,
            rows_in_range=None,
            left_out=self._anonymous(shown.left_out, _FILE_LEFT_OUT),
            missing=self._anonymous(shown.missing, _MISSING),
        )

    def _anonymous(self, texts: Sequence[str], instead: str) -> tuple[str, ...]:
        """Return texts about the whole log as everybody may read them: one for all."""
        return tuple(texts) if not self.within else (instead,) if texts else ()

    def _top(self, question: Question) -> tuple[Any, Provenance]:
        if isinstance(self.search, SourceSearch):
            return self.search.top(question, self._exact_rows)
        answer = self._sums and self._sums.answer(question, top_statement(question))
        return answer or self._ask(question, top_statement, question)

    def stored_from_ms(self) -> int:
        """Return since when flows are stored, in the log or in samples, milliseconds UTC.

        Raises
        ------
        StorageError
            The log cannot be read.
        """
        if isinstance(self.search, SourceSearch):
            return self.search.stored_from_ms()
        oldest_ms = self.search.oldest_ms()
        files = [] if self.samples is None else list_samples(self.samples)
        return min([oldest_ms, *(file.from_ms for file in files if file.to_ms <= oldest_ms)])

    def _with_names(self, rows: Any, question: Question) -> Any:
        """Return rows of an answer with names; within a part of the flows those only that the
        exporters of these flows said.
        """
        exporters = None
        if self.within and needs_exporters(rows.schema.names):
            by_exporter = replace(
                question, dimensions=("exporter",), measures=(), order="octets", other=False,
                limit=MAX_GROUPS, step_ms=None, dedupe=None,
            )  # fmt: skip
            table, _ = self._top(by_exporter)
            exporters = frozenset(table.column("exporter_address").to_pylist())
        return with_names(self.search, rows, (question.since_ms, question.until_ms), exporters)

    def _named_groups(self, groups: Sequence[Group], table: Any, question: Question) -> list[Group]:
        """Return groups whose keys have names beside their numbers."""
        names = [item.name for item in question_items(question)]
        own = [group for group in groups if not group.is_other]
        starts = pa.array([group.start for group in own], pa.int64())
        keys = table.select(names).take(starts)
        named = self._with_names(keys, question).to_pylist() if names else [{} for _ in own]
        renamed = (group._replace(keys=keys) for group, keys in zip(own, named, strict=True))
        return [*renamed, *(group for group in groups if group.is_other)]

    def _ask(
        self,
        question: Question,
        statement: Callable[..., Statement],
        received: TimeRange,
    ) -> tuple[Any, Provenance]:
        """Return the rows of an answer, and where they come from."""
        rows = self.search.rows_between(received.since_ms, received.until_ms)
        pieces = self._sample_pieces(question, received, rows)
        if not pieces:
            table = self.search.run(statement(question), received, False)
            return table, Provenance("exact", rows, rows, left_out=tuple(self.search.damaged))
        described = [read_description(piece.file.path) for piece in pieces]
        pieces = thin_for_question(pieces, described, question)
        table = self.search.run_over(statement(question, sampled=True), pieces)
        return table, Provenance(
            "sampled",
            sum(one.n_rows for one in described),
            max(rows, sum(one.n_flows for one in described)),
        )

    def _sample_pieces(
        self, question: Question, received: TimeRange, rows: int
    ) -> list[SamplePiece]:
        """Return the samples that answer a question; none where the log does, exactly.

        Where the log reaches less far back than samples do, they answer too.
        """
        counts_distinct = any(name in DISTINCT for name in question.measures)
        if question.needs_all_flows or counts_distinct or self.samples is None:
            return []
        files = list_samples(self.samples)
        oldest_ms = self.search.oldest_ms()
        is_older = any(file.to_ms <= oldest_ms for file in files if file.to_ms > received.since_ms)
        if rows <= self.exact_rows and not is_older:
            return []
        return sample_pieces(files, received.since_ms, min(received.until_ms, LAST_MS))


def engine_from_settings(settings: Settings, open_store: OpenStore | None = None) -> QueryEngine:
    """Return the engine over the flow log and the samples of an appliance, if there are any.

    Parameters
    ----------
    open_store
        Opens its store.
    """
    limits = QueryLimits(
        settings["search.memory"], settings["search.threads"], settings["search.timeout"]
    )
    data = Path(settings["data_directory"])
    search = search_of(data / FLOW_LOG_FOLDER, limits, settings, may_be_missing=True)
    return QueryEngine(search, data / SAMPLES_FOLDER, settings["search.exact_rows"], open_store)


def _page_span(question: FlowQuestion, after: PageCursor | None, page: FlowPage) -> tuple[int, int]:
    """Return the times between which the flows of a page were received, milliseconds UTC."""
    since_ms = question.since_ms if page.cursor is None else page.cursor.time_ms
    return since_ms, question.until_ms if after is None else after.time_ms + 1


def _with_errors(table: Any, is_sampled: bool) -> Any:
    """Return a table with the standard error of each sum, where it has variances."""
    for name in SUMS if is_sampled else ():
        variances = table.column(f"{name}_variance").to_numpy()
        errors = np.sqrt(np.maximum(variances, 0))
        table = table.append_column(f"{name}_error", pa.array(errors))
    return table


def _groups(table: Any, names: Sequence[str]) -> list[Group]:
    rows = table.select([*names, "is_other"]).to_pylist()
    starts = [n for n, row in enumerate(rows) if n == 0 or row != rows[n - 1]]
    groups = []
    for start, end in pairwise([*starts, len(rows)]):
        is_other = rows[start].pop("is_other")
        groups.append(Group({} if is_other else rows[start], is_other, start, end))
    return groups


def whole_bins(complete: TimeRange, answered: TimeRange, step_ms: int) -> slice:
    """Return which bins of a series lie in the range that has all its flows."""
    start = max(-(-(complete.since_ms - answered.since_ms) // step_ms), 0)
    end = max((complete.until_ms - answered.since_ms) // step_ms, 0)
    return slice(start, max(start, end))


def statistics(values: AnyArray, counted: slice, step_ms: int) -> Statistics:
    """Return the statistics of bins.

    Parameters
    ----------
    values
        Sums, in the order of time.
    counted
        Those that are whole.
    """
    rates, whole = values[counted] / (step_ms / 1000), float(values.sum())
    if not len(rates):
        return Statistics(0, None, None, None, None, None, whole)
    rank = max(int(np.ceil(PERCENTILE * len(rates))) - 1, 0)
    return Statistics(
        len(rates),
        float(rates.min()),
        float(rates.mean()),
        float(rates.max()),
        float(rates[-1]),
        float(np.sort(rates)[rank]),
        whole,
    )
