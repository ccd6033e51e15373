"""Questions and answers as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from appliance.errors import InvalidQueryError, StorageError
from appliance.flowlog.conditions import Condition
from appliance.flowlog.questions import LAST_MS
from appliance.query.deduplication import NEAREST, RULES

SUMS = ("octets", "packets", "flows")
SAMPLED_ROWS = "sampled_rows"
LEAST_SAMPLED_ROWS = 30
"""A figure of fewer flows of a sample is often further off than its standard error tells."""
"""What is summed over flows; scaled by the sampling rate unless a question says raw."""

MEANS: Mapping[str, str] = {
    "mean_packet_size": "mean octets of a packet",
    "mean_duration": "mean milliseconds from start to end",
}
DISTINCT: Mapping[str, str] = {
    "sources": "source addresses",
    "destinations": "destination addresses",
    "ports": "destination ports",
    "conversations": "pairs of addresses, both directions together",
}
"""What is counted approximately (HyperLogLog)."""

MAX_DIMENSIONS = 3
MAX_BINS = 1500
MAX_GROUPS = 100_000
MAX_SERIES = 100

Method = Literal["exact", "rollups", "sampled"]


@dataclass(frozen=True, slots=True)
class Question:
    """Who or what made how much traffic.

    Attributes
    ----------
    dimensions
        Texts of `find_dimension`; at most three, none for everything together.
    measures
        Keys of `MEANS` and `DISTINCT` to answer beside the sums.
    order
        The largest groups by this come first: a sum, or one of `measures`.
    conditions
        All must hold.
    since_ms, until_ms
        Half open, milliseconds UTC. Of a top list the time of receipt; of a series the time that
        a flow lasted.
    step_ms
        The length of a bin of a series; None for a top list.
    limit
        Most groups.
    other
        Add what the groups leave of the total. Not by what both sides of a flow have.
    raw
        Do not scale by the sampling rate.
    exact
        Read every flow, however many there are.
    dedupe
        A rule of `deduplication` by which the same flow counts once; None: as often as it is seen.

    Raises
    ------
    InvalidQueryError
        Too many dimensions, unknown measures or an impossible order.
    """

    dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    order: str = "octets"
    conditions: tuple[Condition, ...] = ()
    since_ms: int = 0
    until_ms: int = LAST_MS
    step_ms: int | None = None
    limit: int = 10
    other: bool = False
    raw: bool = False
    exact: bool = False
    dedupe: str | None = None

    @property
    def needs_all_flows(self) -> bool:
        """Whether only the flows themselves answer: a sample does not have the same flow twice."""
        return self.exact or self.dedupe == NEAREST

    def __post_init__(self) -> None:
        if len(self.dimensions) > MAX_DIMENSIONS:
            raise InvalidQueryError(f"at most {MAX_DIMENSIONS} dimensions")
        if len(set(self.dimensions)) < len(self.dimensions):
            raise InvalidQueryError("a dimension is there twice")
        known = (*MEANS, *DISTINCT)
        if unknown := [name for name in self.measures if name not in known]:
            raise InvalidQueryError(f"unknown measure {unknown[0]!r}, expected {', '.join(known)}")
        orders = (*SUMS, *self.measures)
        if self.order not in orders:
            raise InvalidQueryError(f"cannot order by {self.order!r}, expected {', '.join(orders)}")
        if self.dedupe is not None and self.dedupe not in RULES:
            raise InvalidQueryError(
                f"unknown rule {self.dedupe!r} of dedupe, expected {' or '.join(RULES)}"
            )
        if self.step_ms is not None:
            self._check_series(self.step_ms)
        if not 1 <= self.limit <= MAX_GROUPS:
            raise InvalidQueryError(f"a limit is 1 to {MAX_GROUPS}, not {self.limit}")

    def _check_series(self, step_ms: int) -> None:
        if step_ms < 1000:
            raise InvalidQueryError("a step is a second at least")
        if self.measures:
            raise InvalidQueryError(f"a series has {', '.join(SUMS)} only")
        if self.limit > MAX_SERIES:
            raise InvalidQueryError(f"at most {MAX_SERIES} series, not {self.limit}")
        bins = -(-(self.until_ms - self.since_ms) // step_ms)
        if not 1 <= bins <= MAX_BINS:
            raise InvalidQueryError(
                f"a series has 1 to {MAX_BINS} bins, not {bins}: choose another step or range"
            )


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an answer comes from and what it cost.

    Attributes
    ----------
    method
        "exact": every flow in the range was read; "rollups": from sums of whole bins, exact as
        well; "sampled": estimated from some flows, with errors.
    rows_scanned, rows_in_range
        Records that were read, and that there are or were; both are more than matched. None where
        that would tell of flows that the caller may not see.
    seconds
        How long it took.
    left_out
        Files that could not be read, a sentence each.
    dedupe
        By which rule each flow counts once, in all figures, the total too; None: by none.
    missing
        What did not answer, such as a shard of a database: its flows are in no figure.
    """

    method: Method = "exact"
    rows_scanned: int | None = 0
    rows_in_range: int | None = 0
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    dedupe: str | None = None
    missing: tuple[str, ...] = ()

    def check_complete(self, what: str) -> None:
        """Let an answer pass that has all flows: others are no ground for what is kept or billed.

        Parameters
        ----------
        what
            Is made of the answer, such as `a report`.

        Raises
        ------
        StorageError
            Something did not answer.
        """
        if self.missing:
            raise StorageError(f"{self.missing[0]} does not answer: {what} would lack its flows")


@dataclass(frozen=True, slots=True)
class TopAnswer:
    """The largest groups.

    Attributes
    ----------
    rows
        A pyarrow table: the items of the dimensions, the sums, the measures asked for. Where sums
        are estimated, their standard errors (`octets_error`, ...), and of how many flows of the
        sample they were made (`sampled_rows`), beside them.
    other
        What the rows leave of the total, where the question asks for it and there is some.
    total
        Each flow once.
    """

    rows: Any
    other: Mapping[str, float] | None
    total: Mapping[str, float]
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the whole bins of a series say, each as a rate a second; the sum is of all bins.

    Attributes
    ----------
    bins
        How many whole bins there are. Without any there are no rates either.
    percentile_95
        The largest bin but for the highest 5 %, as transit is billed (nearest rank).
    """

    bins: int
    minimum: float | None
    mean: float | None
    maximum: float | None
    last: float | None
    percentile_95: float | None
    sum: float


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One line of a chart.

    Attributes
    ----------
    keys
        By item, as text or number; empty for the rest of all groups, or where there is one only.
    values
        The sum of each bin.
    is_other
        It is what the other rows leave of the total.
    errors
        The standard error of each bin; zeros where the answer is exact.
    """

    keys: Mapping[str, Any]
    values: Sequence[float]
    statistics: Statistics
    is_other: bool = False
    errors: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """Traffic over time, spread evenly over the time that each flow lasted.

    Attributes
    ----------
    starts_ms
        The start of each bin, milliseconds UTC.
    step_ms
        Their length.
    complete_from_ms, complete_until_ms
        Bins that begin earlier lack flows, as none were stored yet; bins that end later still get
        some.
    """

    starts_ms: Sequence[int]
    step_ms: int
    rows: Sequence[SeriesRow]
    complete_from_ms: int
    complete_until_ms: int
    provenance: Provenance = field(default_factory=Provenance)

    def is_complete(self, start_ms: int) -> bool:
        """Tell whether the bin that begins then has all its flows."""
        return self.complete_from_ms <= start_ms <= self.complete_until_ms - self.step_ms
