"""Priority sampling, stratified: which flows are kept, and what each of them stands for.

A flow of size w gets a priority q = w / u, u being uniform in (0, 1]. Kept are those with a
priority above the threshold T of their stratum, which is the smaller of two: what leaves `rows` of
all strata, and what leaves `least` of this one. A flow that is kept stands for max(1, T / w) flows
like it. The standard error of a sum of x over any of them is sqrt(sum(x**2 * s * (s - 1))), s being
what each stands for: there are no covariances.

u is a hash of the flow's place in the log, so that a sample drawn again is the same.

References
----------
Duffield, Lund, Thorup: Priority sampling, JACM 54(6), 2007, sections 1 and 3
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.flows import AnyArray

OCTETS_A_FLOW = 5000.0
"""What a flow is worth beside its octets, so that small flows and their number are seen as well."""

SIZED_BY = ("octet_delta_count", "delta_flow_count", "sampling_rate")
SIZE_SQL = (
    "(coalesce(octet_delta_count, 0) * rate(sampling_rate)"
    f" + {OCTETS_A_FLOW} * greatest(coalesce(delta_flow_count, 1), 1))"
)
"""The size of a flow in DuckDB, as `sizes` has it; `SIZED_BY` are the columns that it reads."""

LEAST_SHARE = 2
"""Half of all rows are shared out among strata alike."""

MOST_LEAST = 1000


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many flows a sample keeps.

    Attributes
    ----------
    rows
        Of all strata; a few more with many small ones.
    """

    rows: int

    def least(self, n_strata: int) -> int:
        """Return how many flows of each stratum are kept at least, as far as it has them."""
        return min(max(self.rows // (LEAST_SHARE * max(n_strata, 1)), 1), MOST_LEAST)


def sizes(octets: AnyArray, flows: AnyArray, rates: AnyArray) -> AnyArray:
    """Return the size of each flow.

    Parameters
    ----------
    octets, flows
        As exported.
    rates
        Sampling rates of the exporters; what is no rate counts as 1.

    Returns
    -------
    numpy.ndarray
        float64, positive.
    """
    scale = np.where((rates >= 1) & (rates <= 2**32), rates, 1.0)
    sized: AnyArray = octets * scale + OCTETS_A_FLOW * np.maximum(flows, 1)
    return sized


def uniform(places: AnyArray, seed: int) -> AnyArray:
    """Return a number in (0, 1] for each place in the log: splitmix64 of it.

    Parameters
    ----------
    places
        uint64, each once.
    seed
        Of the log; who sends flows does not know it.
    """
    with np.errstate(over="ignore"):
        bits = places * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    numbers: AnyArray = ((bits >> np.uint64(11)) + np.uint64(1)) * 2.0**-53
    return numbers


@dataclass(slots=True)
class Thresholds:
    """The thresholds of all strata, which only grow.

    Attributes
    ----------
    values
        float64, by the code of a stratum; 0 where everything is kept.
    """

    values: AnyArray = field(default_factory=lambda: np.zeros(0))

    def of(self, codes: AnyArray) -> AnyArray:
        """Return the threshold of each row."""
        self._grow(codes)
        found: AnyArray = self.values[codes]
        return found

    def with_room(self, n_strata: int) -> AnyArray:
        """Return those of so many strata at least, whether these are there or to come."""
        self._make_room(n_strata)
        return self.values

    def raise_for(self, priorities: AnyArray, codes: AnyArray, size: SampleSize) -> None:
        """Raise them so that no more rows are kept than a sample may have.

        Parameters
        ----------
        priorities, codes
            Of every row kept until now; with a priority of 0 there is none.
        """
        self._grow(codes)
        whole = _largest(priorities, size.rows)
        if whole == 0:
            return
        n_strata = len(self.values)
        is_there = np.bincount(codes[priorities > 0], minlength=n_strata) > 0
        least = size.least(int(is_there.sum()))
        n_above = np.bincount(codes[priorities > whole], minlength=n_strata)
        lower = np.where(is_there, whole, 0.0)
        # Only a stratum that would be left with few can have a lower threshold of its own.
        small = np.flatnonzero(is_there & (n_above < least))
        if len(small):
            is_small = np.zeros(n_strata, np.bool_)
            is_small[small] = True
            rows = np.flatnonzero(is_small[codes])
            order = rows[np.lexsort((-priorities[rows], codes[rows]))]
            starts = np.searchsorted(codes[order], small)
            ends = np.searchsorted(codes[order], small, side="right")
            has_more = starts + least < ends
            lower[small] = 0
            lower[small[has_more]] = priorities[order[starts[has_more] + least]]
        self.values = np.maximum(self.values, np.minimum(lower, whole))

    def _grow(self, codes: AnyArray) -> None:
        self._make_room(int(codes.max()) + 1 if len(codes) else 0)

    def _make_room(self, n_strata: int) -> None:
        missing = n_strata - len(self.values)
        if missing > 0:
            self.values = np.append(self.values, np.zeros(missing))


def _largest(priorities: AnyArray, rows: int) -> float:
    """Return the largest priority behind so many; 0 when there is none."""
    if len(priorities) <= rows:
        return 0.0
    return float(np.partition(priorities, len(priorities) - rows - 1)[len(priorities) - rows - 1])


def weights_of(sized: AnyArray, thresholds: AnyArray) -> AnyArray:
    """Return for how many flows like it each kept one stands, 1 at least."""
    weights: AnyArray = np.maximum(1.0, thresholds / sized)
    return weights
