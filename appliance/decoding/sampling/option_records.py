"""What the options records of a group tell: facts with their place in the order of arrival.

Documents: RFC 3954 section 6, RFC 7011 section 3.4.2, IANA elements 160 (boot time),
130 and 131 (exporter), 94-96 (applications), 82 and 83 (interfaces); on sampling see `rates`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.identity import exporter_halves
from appliance.decoding.columns.mapping import application_key, text_of
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.results import NameFact
from appliance.decoding.sampling.knowledge import SamplingFact, Subject
from appliance.decoding.sampling.rates import SELECTOR_ELEMENTS, SetContext, sampling_rates
from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.decoding.templates.template import V9_SCOPE
from appliance.decoding.templates.timeline import Session

_APPLICATION, _APPLICATION_NAME, _APPLICATION_DESCRIPTION = 95, 96, 94
_INTERFACE_NAME, _INTERFACE_DESCRIPTION = 82, 83
_INTERFACES = (10, 14, 252, 253)
_SYSTEM_INIT, _DOMAIN = 160, 149
_V9_SCOPE_INTERFACE = 2

_LATEST_BOOT_MS = 1 << 46
_FEW_RECORDS = 64
"""So many are taken one by one; of more, those that others repeat are left out before."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing told by one record: either about sampling or a name.

    Attributes
    ----------
    order
        Order and turn of the record's Set, and the record's number: facts hold in this order.
    """

    order: tuple[int, int, int]
    session: Session
    sampling: SamplingFact | None = None
    name: NameFact | None = None


Facts = list[Fact]


def collect_facts(group: RecordGroup, context: SetContext) -> Facts:
    """Read everything that a group of options records tells."""
    if not group.n_records:
        return []
    places = _Places(
        np.repeat(context.order, group.counts).tolist(),
        np.repeat(context.turn, group.counts).tolist(),
        [context.scopes[s].session for s in np.repeat(context.scope, group.counts).tolist()],
    )
    domains = np.repeat(group.arrivals.domain[group.arrival], group.counts)
    sets = np.repeat(np.arange(len(group.counts)), group.counts)
    facts = [
        Fact(places.order(record), places.sessions[record], sampling=fact)
        for record, fact in sampling_facts(group.plan, group.records, sets, domains)
    ]
    return facts + _applications(group, places) + _interfaces(group, places)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where and when each record of a group was told."""

    orders: list[int]
    turns: list[int]
    sessions: list[Session]

    def order(self, record: int) -> tuple[int, int, int]:
        return self.orders[record], self.turns[record], record


def _applications(group: RecordGroup, places: _Places) -> Facts:
    at, name = group.index(_APPLICATION), group.index(_APPLICATION_NAME)
    if at is None or name is None:
        return []
    keys = [application_key(bytes(o)) for o in group.records.octets(at).tolist()]
    names, descriptions = _texts(group, name), _texts(group, group.index(_APPLICATION_DESCRIPTION))
    return _names("application", places, keys, names, descriptions)


def _interfaces(group: RecordGroup, places: _Places) -> Facts:
    name, description = group.index(_INTERFACE_NAME), group.index(_INTERFACE_DESCRIPTION)
    if name is None and description is None:
        return []
    numbers = group.first_unsigned(_INTERFACES)
    if numbers is None:
        numbers = group.unsigned(_V9_SCOPE_INTERFACE, V9_SCOPE)
    if numbers is None:
        return []
    names, descriptions = _texts(group, name), _texts(group, description)
    return _names("interface", places, numbers.tolist(), names, descriptions)


def _names(
    kind: str, places: _Places, numbers: list[int], names: list[str], descriptions: list[str]
) -> Facts:
    rows = zip(places.sessions, numbers, names, descriptions, strict=True)
    return [
        Fact(places.order(record), session, name=NameFact(session, kind, number, name, description))
        for record, (session, number, name, description) in enumerate(rows)
        if number and (name or description)
    ]


def _texts(group: RecordGroup, field: int | None) -> list[str]:
    if field is None:
        return [""] * group.n_records
    return [text_of(bytes(octets)) for octets in group.records.octets(field).tolist()]


def sampling_facts(
    plan: DecodePlan, records: Records, sets: NDArray[np.intp], domains: NDArray[np.int64]
) -> Iterator[tuple[int, SamplingFact]]:
    """Yield what options records tell of sampling, boot time, exporter, with the record's index.

    Parameters
    ----------
    sets
        shape (n_records,): number of each record's Set; of one Set the last word counts.
    domains
        int64, shape (n_records,): observation domain of each record's message.

    Notes
    -----
    The kind of scope is not trusted: a sampler identifier anywhere in the record makes it one of a
    sampler, an interface one of an interface; else it is about the domain.
    """
    at = plan.first_index.get((0, _DOMAIN))
    domain_of = domains if at is None else records.unsigned(at)
    at = plan.first_index.get((0, _SYSTEM_INIT))
    if at is not None:
        boot = records.unsigned(at)
        usable = np.flatnonzero((boot > 0) & (boot < _LATEST_BOOT_MS))
        yield from _distinct_facts("init", usable, (sets, domain_of, np.zeros_like(domains)), boot)
    halves = exporter_halves(plan, records)
    if halves is not None:
        addresses = halves[0].astype(object) << 64 | halves[1].astype(object)
        usable = np.flatnonzero(halves[0] | halves[1])
        yield from _distinct_facts(
            "exporter", usable, (sets, domain_of, np.zeros_like(domains)), addresses
        )
    rates = sampling_rates(plan, records)
    if rates is not None:
        kind, numbers = _subject(plan, records)
        yield from _distinct_facts(kind, np.flatnonzero(rates), (sets, domain_of, numbers), rates)


def _distinct_facts(
    kind: str,
    usable: NDArray[np.intp],
    keys: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    values: NDArray[Any],
) -> Iterator[tuple[int, SamplingFact]]:
    """Yield a fact for each distinct key (Set, domain, number), the last one of it."""
    if len(usable) > _FEW_RECORDS:
        newest_first = usable[::-1]
        combined = np.zeros(len(usable), np.int64)
        for key in keys:
            distinct, place = np.unique(key[newest_first], return_inverse=True)
            combined = combined * len(distinct) + place
            combined = np.unique(combined, return_inverse=True)[1]
        usable = np.sort(newest_first[np.unique(combined, return_index=True)[1]])
    of_domain, of_number = (key[usable].tolist() for key in keys[1:])
    rows = zip(usable.tolist(), of_domain, of_number, values[usable].tolist(), strict=True)
    for record, domain, number, value in rows:
        yield record, SamplingFact(Subject(kind, domain, number), value)


def _subject(plan: DecodePlan, records: Records) -> tuple[str, NDArray[Any]]:
    """Return what the records are about, and its number in each."""
    for kind, elements in (("selector", SELECTOR_ELEMENTS), ("interface", _INTERFACES)):
        for element in elements:
            at = plan.first_index.get((0, element))
            if at is not None:
                return kind, records.unsigned(at)
    at = plan.first_index.get((V9_SCOPE, _V9_SCOPE_INTERFACE))
    if at is not None:
        return "interface", records.unsigned(at)
    return "domain", np.zeros(records.n_records, np.int64)
