"""95th percentile billing as providers of transit do it.

The time is cut into bins of five minutes; of each the mean rate counts, in and out apart. The
highest 5 % of the bins are left out, the next one is the rate of its direction, and the larger
direction is billed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from appliance.flows import AnyArray

BIN_SECONDS = 300
_PERCENT = 95


class Bill(NamedTuple):
    """Rates of one interface or customer, bits a second.

    Attributes
    ----------
    bins
        How many complete bins there were; of none nothing can be billed.
    """

    ingress: float | None
    egress: float | None
    billed: float | None
    direction: str
    bins: int


def percentile_95(rates: AnyArray) -> float | None:
    """Return the largest rate but for the highest 5 % (nearest rank); None of none."""
    if not len(rates):
        return None
    rank = math.ceil(_PERCENT * len(rates) / 100)
    return float(np.sort(rates)[rank - 1])


def bill_of(ingress: AnyArray, egress: AnyArray) -> Bill:
    """Return what is billed.

    Parameters
    ----------
    ingress, egress
        Mean rates of the same bins.
    """
    into, out = percentile_95(ingress), percentile_95(egress)
    if into is None or out is None:
        return Bill(into, out, None, "", 0)
    direction = "in" if into >= out else "out"
    return Bill(into, out, max(into, out), direction, len(ingress))
