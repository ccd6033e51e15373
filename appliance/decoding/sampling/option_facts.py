"""What the options records of a group tell: facts with their place in the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.decoding.columns.mapping import application_key, text_of
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.results import NameFact
from appliance.decoding.sampling.knowledge import V9_SCOPE_INTERFACE, SamplingFact, sampling_facts
from appliance.decoding.sampling.rates import SetContext
from appliance.decoding.templates.template import V9_SCOPE
from appliance.decoding.templates.timeline import Session

_APPLICATION, _APPLICATION_NAME, _APPLICATION_DESCRIPTION = 95, 96, 94
_INTERFACE_NAME, _INTERFACE_DESCRIPTION = 82, 83
_INTERFACES = (10, 14, 252, 253)


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
    domains = np.repeat(group.per_set("domain"), group.counts)
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
        numbers = group.unsigned(V9_SCOPE_INTERFACE, V9_SCOPE)
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
