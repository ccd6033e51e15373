"""The pending sets of an exporter: Data Sets whose template has not come yet.

RFC 7011 section 8 allows to keep them. This only keeps order; how much may wait and for how
long is decided by `exporters`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from appliance.decoding.results import WaitingSet
from appliance.decoding.templates.timeline import SessionDomain

_OVERHEAD_OCTETS = 800
"""What a Set takes beside its octets when it is the only one of its template, as measured: its
message's facts, and its places in both indexes."""


def waiting_octets(waiting: WaitingSet) -> int:
    """Return what a Data Set takes, with what is kept beside it."""
    return len(waiting.body) + _OVERHEAD_OCTETS


class MissingTemplate(NamedTuple):
    """A template that Data Sets wait for: how many, their octets, and since when (milliseconds
    UTC)."""

    scope: SessionDomain
    template_id: int
    n_sets: int
    octets: int
    since_ms: int


class PendingSets:
    """The Data Sets of one exporter that wait, each found by its template and by its scope.

    Attributes
    ----------
    octets
        What they take.
    """

    def __init__(self) -> None:
        self.octets = 0
        self._next_serial = 1
        self._of_template: dict[tuple[SessionDomain, int], dict[int, WaitingSet]] = {}
        self._of_scope: dict[SessionDomain, dict[int, WaitingSet]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of_scope.values()))

    def add(self, waiting: WaitingSet) -> None:
        """Keep a Set; it gets the next serial number."""
        serial = self._next_serial
        self._next_serial += 1
        kept = replace(waiting, serial=serial)
        template = (waiting.scope, waiting.set_id)
        self._of_template.setdefault(template, {})[serial] = kept
        self._of_scope.setdefault(waiting.scope, {})[serial] = kept
        self.octets += waiting_octets(waiting)

    def remove(self, waiting: WaitingSet) -> bool:
        """Remove a Set, found by its serial number; tell whether it was there."""
        scope, template = waiting.scope, (waiting.scope, waiting.set_id)
        of_scope = self._of_scope.get(scope, {})
        if of_scope.pop(waiting.serial, None) is None:
            return False
        if not of_scope:
            del self._of_scope[scope]
        of_template = self._of_template[template]
        del of_template[waiting.serial]
        if not of_template:
            del self._of_template[template]
        self.octets -= waiting_octets(waiting)
        return True

    def waiting(self, scope: SessionDomain, template_id: int) -> Sequence[WaitingSet]:
        """Return those that wait for a template, in the order in which they came."""
        found = self._of_template.get((scope, template_id))
        return tuple(found.values()) if found else ()

    def missing_templates(self, limit: int) -> list[MissingTemplate]:
        """Return at most so many templates that Sets wait for, the one missed longest first."""
        return [
            MissingTemplate(
                *(scope, template_id, len(waiting)),
                octets=sum(len(one.body) for one in waiting.values()),
                since_ms=next(iter(waiting.values())).received_ms,
            )
            for (scope, template_id), waiting in islice(self._of_template.items(), limit)
        ]

    def waiting_of(self, scope: SessionDomain) -> Sequence[WaitingSet]:
        """Return those of a scope, in the order in which they came."""
        found = self._of_scope.get(scope)
        return tuple(found.values()) if found else ()

    def n_waiting(self) -> Counter[int]:
        """Count them by the port of their session."""
        numbers: Counter[int] = Counter()
        for scope, waiting in self._of_scope.items():
            numbers[scope.port] += len(waiting)
        return numbers

    def waiting_since(self, before_ms: int) -> Sequence[WaitingSet]:
        """Return those that were received before a time (milliseconds UTC)."""
        pending = self._of_scope.values()
        return tuple(w for sets in pending for w in sets.values() if w.received_ms < before_ms)
