"""The exporter that each record of a group is from: mostly the sender, behind a relay another one.

A relay or mediator (RFC 7119) sends the flows of other exporters under its own address. It may say
whose they are: exporterIPv4Address or exporterIPv6Address (130, 131) in options records hold for
their observation domain, in flow records for that record alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.exporter_address import exporter_halves
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.results import ExporterTrust
from appliance.decoding.sampling.rates import Moments

Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]


def exporter_addresses(group: RecordGroup, moments: Moments, trust: ExporterTrust) -> Halves | None:
    """Return the exporter of each record, halves of shape (n_records,); None: all are the senders.

    Parameters
    ----------
    moments
        What sessions told in options records.
    """
    if trust is ExporterTrust.OFF:
        return None
    named = _named_by_options(group, moments)
    own = exporter_halves(group.plan, group.records) if trust is ExporterTrust.RECORDS else None
    if own is not None:
        named = own if named is None else _first_known(own, named)
    if named is None:
        return None
    return _first_known(named, (group.per_record("address_hi"), group.per_record("address_lo")))


def _named_by_options(group: RecordGroup, moments: Moments) -> Halves | None:
    if moments.exporters is None:
        return None
    hi, lo = (half[moments.of_set] for half in moments.exporters)
    if not (hi | lo).any():
        return None
    return np.repeat(hi, group.counts), np.repeat(lo, group.counts)


def _first_known(first: Halves, second: Halves) -> Halves:
    known = (first[0] | first[1]) > 0
    return np.where(known, first[0], second[0]), np.where(known, first[1], second[1])
