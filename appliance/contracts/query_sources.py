"""What answers questions in place of the flow log, such as a database of several collectors.

A source is chosen by `search.source`. It answers over all flows that it has, those of other
collectors as well, in its own dialect: a question carries its filter as a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.queries import Direction, MeasureName
from appliance.contracts.template_files import SavedApplication
from appliance.flows import AnyArray
from appliance.settings.file import Settings

if TYPE_CHECKING:
    from appliance.flowlog.limits import QueryLimits
    from appliance.flowlog.query_control import QueryControl
    from appliance.flowlog.questions import FlowQuestion
    from appliance.query.question import Question


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of an answer.

    Attributes
    ----------
    values
        Shape (n_rows,), numbers or `str` objects; anything where there is none.
    nulls
        Which rows have no value; None: all have one.
    """

    values: AnyArray
    nulls: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class SourceSample:
    """From what an answer was estimated.

    Attributes
    ----------
    rows_scanned
        Flows of the sample that were read.
    rows_in_range
        Records that they were drawn from.
    """

    rows_scanned: int
    rows_in_range: int


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of an answer.

    Attributes
    ----------
    columns
        By name, all of one length.
    missing
        What did not answer, such as a shard: its rows are not in the answer. A name each.
    sample
        None: the answer is exact.
    """

    columns: Mapping[str, SourceColumn]
    missing: tuple[str, ...] = ()
    sample: SourceSample | None = None


@dataclass(frozen=True, slots=True)
class SourceGroups:
    """The largest groups of a question.

    Attributes
    ----------
    groups
        The keys of the question's items (`Item.keys`), what is summed (`SUMS`, scaled) and the
        measures; the largest first, as many as the question's limit.
    total
        The sums and measures of all flows, each once; a measure without value is left out.
    has_more
        There are more groups.
    missing
        As of `SourceRows`.
    sample
        None: the answer is exact. Estimated groups, and their total, also have the variance of each
        sum (`octets_variance`, ...) and of how many flows of the sample they are (`sampled_rows`).
    """

    groups: Mapping[str, SourceColumn]
    total: Mapping[str, float] = field(default_factory=dict)
    has_more: bool = False
    missing: tuple[str, ...] = ()
    sample: SourceSample | None = None


SumKey = Literal["exporter", "protocol", "source", "destination", "service", "application", "bin"]
"""What sums are by: the key's columns in the answer are those of the flow log, of `service` the
columns `protocol_identifier` and `service_port`, of `application` those, the exporter's,
`application_id` and `session` (0 without an application), of `bin` a column of that name."""


@dataclass(frozen=True, slots=True)
class SumsQuestion:
    """Which flows are summed up, and by what; as roll-ups do it, and scaled flow by flow.

    Attributes
    ----------
    since, until
        When they were received, seconds UTC, half open, whole minutes.
    exporter
        Its address (hi, lo); None: all.
    direction
        None: both. What an exporter did not tell is egress where the source is `inside` and the
        destination is not, else ingress.
    inside
        Networks: mask and value of the high half of an address, then of the low half.
    named_ports
        Pairs of protocol and port: the service port is the lower one of those that are here, or
        else the lower.
    step
        Length of a bin, seconds, a multiple of 60; the first begins at `since`.
    order, limit
        Only the largest by a measure.
    """

    keys: tuple[SumKey, ...]
    since: int
    until: int
    exporter: tuple[int, int] | None = None
    direction: Direction | None = None
    inside: tuple[tuple[int, int, int, int], ...] = ()
    named_ports: tuple[tuple[int, int], ...] = ()
    step: int = 60
    order: MeasureName = "octets"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class SourceSums:
    """Sums by keys.

    Attributes
    ----------
    columns
        Of the keys, by name; of `bin` its number from 0 on. Then `octets`, `packets`, `flows`.
    missing
        As of `SourceRows`.
    """

    columns: Mapping[str, SourceColumn]
    missing: tuple[str, ...] = ()


class QuerySource(Protocol):
    """Flows that are asked within limits; `control` cancels.

    Every method raises a QueryError where a limit was met or the question cannot be answered, and a
    StorageError where nothing answers. It returns or raises within the seconds of `limits`.
    """

    def rows_between(self, since_ms: int, until_ms: int, limits: QueryLimits) -> int:
        """Return how many rows were received in a range, half open, milliseconds UTC."""
        ...

    def oldest_ms(self, limits: QueryLimits) -> int | None:
        """Return when the oldest row was received; None where there is none."""
        ...

    def top(
        self, question: Question, limits: QueryLimits, control: QueryControl | None
    ) -> SourceGroups:
        """Return the largest groups."""
        ...

    def series(
        self, question: Question, limits: QueryLimits, control: QueryControl | None
    ) -> SourceRows:
        """Return the bins of the largest groups, and of the rest together.

        The columns are the keys of the items, `bin` (times the step since 1970), `value`,
        `is_other` (0 or 1) and `whole`, the sum of the group's bins in the range.
        """
        ...

    def flows(
        self,
        question: FlowQuestion,
        columns: Sequence[str],
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceRows:
        """Return these stored columns of single flows, in the order of the question."""
        ...

    def stream(
        self, question: FlowQuestion, columns: Sequence[str], limits: QueryLimits
    ) -> Iterator[SourceRows]:
        """Yield these stored columns of all flows of a question, as they were received.

        What does not answer is a StorageError here: an export has all flows or fails.
        """
        ...

    def sums(self, question: SumsQuestion, limits: QueryLimits) -> SourceSums:
        """Return exact sums, for the routes that roll-ups answer of an own flow log."""
        ...


class ApplicationNames(Protocol):
    """The method `application_names` that a source may have beside those of `QuerySource`."""

    def __call__(self, limits: QueryLimits, /) -> Sequence[SavedApplication]:
        """Return the names that exporters told any collector in options records."""
        ...


class EstimatingSource(QuerySource, Protocol):
    """A source that has samples of its flows, and estimates what it would take long to read.

    These methods are looked for by name: a source without them answers everything exactly.
    """

    def range_of_samples_alone(self, limits: QueryLimits) -> tuple[int, int] | None:
        """Return the range, milliseconds UTC, of which flows are gone and samples are there."""
        ...

    def estimate_top(
        self,
        question: Question,
        most_rows: int,
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceGroups | None:
        """Return the largest groups, estimated; None where there are no samples of all flows.

        Parameters
        ----------
        most_rows
            So many flows of samples are read at most.
        """
        ...

    def estimate_series(
        self,
        question: Question,
        most_rows: int,
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceRows | None:
        """Return the bins of a series with `variance`, estimated; see `estimate_top`."""
        ...


QuerySourceFactory = Callable[[Settings], QuerySource]
"""Makes a source; nothing is opened yet."""
