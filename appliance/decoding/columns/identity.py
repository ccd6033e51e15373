"""The exporter that each record of a group is from: mostly the sender, behind a relay another one.

A relay or mediator (RFC 7119) sends the flows of other exporters under its own address. It may say
whose they are: exporterIPv4Address or exporterIPv6Address (130, 131) in options records hold for
their observation domain, in flow records for that record alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.results import ExporterTrust
from appliance.decoding.sampling.rates import Moments
from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.flows import V4_MAPPED

AddressHalves = tuple[NDArray[np.uint64], NDArray[np.uint64]]

_IPV4, _IPV6 = 130, 131
_IPV4_BITS = np.uint64(0xFFFF_FFFF)


def exporter_addresses(
    group: RecordGroup, moments: Moments, trust: ExporterTrust
) -> AddressHalves | None:
    """Return the exporter of each record, halves of shape (n_records,); None: all are the senders.

    Parameters
    ----------
    moments
        What sessions told in options records.
    """
    if trust is ExporterTrust.OFF:
        return None
    named: AddressHalves | None = None
    if moments.exporters is not None:
        hi, lo = (half[moments.of_set] for half in moments.exporters)
        if (hi | lo).any():
            named = np.repeat(hi, group.counts), np.repeat(lo, group.counts)
    own = exporter_halves(group.plan, group.records) if trust is ExporterTrust.RECORDS else None
    if own is not None:
        named = own if named is None else first_known(own, named)
    if named is None:
        return None
    return first_known(named, (group.per_record("address_hi"), group.per_record("address_lo")))


def first_known(first: AddressHalves, second: AddressHalves) -> AddressHalves:
    """Return the first addresses, and the second ones where those are 0."""
    known = (first[0] | first[1]) > 0
    return np.where(known, first[0], second[0]), np.where(known, first[1], second[1])


def exporter_halves(plan: DecodePlan, records: Records) -> AddressHalves | None:
    """Return exporterIPv4Address or exporterIPv6Address of each record as halves.

    Returns
    -------
    tuple or None
        uint64, shape (n_records,) each, IPv4 as ::ffff:a.b.c.d; 0 where a record names none (the
        unspecified address). None when the layout has neither element.
    """
    at4, at6 = plan.first_index.get((0, _IPV4)), plan.first_index.get((0, _IPV6))
    if at4 is None and at6 is None:
        return None
    hi = lo = np.zeros(records.n_records, np.uint64)
    if at6 is not None:
        hi, lo = records.halves(at6)
    if at4 is not None:
        short = records.halves(at4)[1] & _IPV4_BITS
        use_short = (short > 0) & ((hi | lo) == 0)
        lo = np.where(use_short, short | np.uint64(V4_MAPPED), lo)
    return hi, lo
