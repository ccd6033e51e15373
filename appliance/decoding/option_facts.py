"""What the options records of a group tell: facts with their place in the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.decoding.columns import application_key, text_of
from appliance.decoding.groups import RecordGroup
from appliance.decoding.results import Exporter, NameFact
from appliance.decoding.sampling import SetContext
from appliance.wire.options import Sampling, SamplingFact, learned, sampling_facts

_APPLICATION, _APPLICATION_NAME, _APPLICATION_DESCRIPTION = 95, 96, 94
_INTERFACE_NAME, _INTERFACE_DESCRIPTION = 82, 83
_INTERFACES = (10, 14, 252, 253)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing told by one record: either about sampling or a name."""

    order: tuple[int, int]
    exporter: Exporter
    sampling: SamplingFact | None = None
    name: NameFact | None = None


Facts = list[Fact]


def collect_facts(group: RecordGroup, context: SetContext) -> Facts:
    """Read everything that a group of options records tells."""
    if not group.n_records:
        return []
    order = np.repeat(context.order, group.counts).tolist()
    exporters = [
        context.scopes[s].exporter for s in np.repeat(context.scope, group.counts).tolist()
    ]
    domains = np.repeat(group.per_set("domain"), group.counts)
    facts = [
        Fact((order[record], record), exporters[record], sampling=fact)
        for record, fact in sampling_facts(group.plan, group.records, domains)
    ]
    return facts + _applications(group, exporters) + _interfaces(group, exporters)


def after_fact(sampling: Sampling, fact: Fact) -> Sampling:
    """Return what is known of sampling after a fact."""
    return sampling if fact.sampling is None else learned(sampling, fact.sampling)


def _applications(group: RecordGroup, exporters: list[Exporter]) -> Facts:
    at, name = group.index(_APPLICATION), group.index(_APPLICATION_NAME)
    if at is None or name is None:
        return []
    keys = [application_key(bytes(o)) for o in group.records.octets(at).tolist()]
    names, descriptions = _texts(group, name), _texts(group, group.index(_APPLICATION_DESCRIPTION))
    return _names("application", exporters, keys, names, descriptions)


def _interfaces(group: RecordGroup, exporters: list[Exporter]) -> Facts:
    name, description = group.index(_INTERFACE_NAME), group.index(_INTERFACE_DESCRIPTION)
    numbers = group.first_unsigned(_INTERFACES)
    if numbers is None or (name is None and description is None):
        return []
    names, descriptions = _texts(group, name), _texts(group, description)
    return _names("interface", exporters, numbers.tolist(), names, descriptions)


def _names(
    kind: str,
    exporters: list[Exporter],
    numbers: list[int],
    names: list[str],
    descriptions: list[str],
) -> Facts:
    rows = zip(exporters, numbers, names, descriptions, strict=True)
    return [
        Fact((0, 0), exporter, name=NameFact(exporter, kind, number, name, description))
        for exporter, number, name, description in rows
        if number and (name or description)
    ]


def _texts(group: RecordGroup, field: int | None) -> list[str]:
    if field is None:
        return [""] * group.n_records
    return [text_of(bytes(octets)) for octets in group.records.octets(field).tolist()]
