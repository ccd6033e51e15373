"""What options records say about the flows beside them: sampling, boot time, names.

Documents: RFC 3954 section 6, RFC 7011 section 3.4.2, IANA elements 34, 35, 48-50, 302, 304-306,
309-311 (packets), 396 and 397 (flows) on sampling, 160 (systemInitTimeMilliseconds), 130 and 131
(exporter), 94-96 (applications), 82 and 83 (interfaces). `Sampling` is a value: learning gives a
new one, so that a block can use several in turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.exporter_address import exporter_halves
from appliance.decoding.templates.decode_plan import DecodePlan, Records
from appliance.decoding.templates.template import V9_SCOPE

SELECTOR_ELEMENTS = (48, 302)
INTERFACE_ELEMENTS = (10, 14, 252, 253)
SYSTEM_INIT_ELEMENT = 160
_RATE_ELEMENTS = frozenset((34, 50, 305, 306, 309, 310, 311, 396, 397))
DOMAIN_ELEMENT = 149
V9_SCOPE_INTERFACE = 2

ANY_DOMAIN = -1
"""Stands for the domain that spoke last, where a domain has told nothing itself."""

MAX_SUBJECTS = 16_384
"""Samplers, interfaces and domains remembered of one session together; more are not learned."""

_LATEST_BOOT_MS = 1 << 46
_FEW_RECORDS = 64
"""So many are taken one by one; of more, those that others repeat are left out before."""


class Subject(NamedTuple):
    """What an options record is about.

    Attributes
    ----------
    kind
        `selector`, `interface`, `domain` (sampling rates), `init` (boot time) or `exporter` (the
        address of whom the domain's flows are from).
    domain
        Observation domain, or `ANY_DOMAIN`.
    number
        Sampler or interface; 0 for the others.
    """

    kind: str
    domain: int
    number: int = 0


class SamplingFact(NamedTuple):
    """One thing that an options record told: a rate, a boot time in milliseconds UTC, or an address
    of 128 bits."""

    subject: Subject
    value: float


@dataclass(frozen=True)
class Sampling:
    """What the options records of one session told: sampling rates and boot times.

    Attributes
    ----------
    told
        What each subject is sampled with (one of so many), or when it booted.
    """

    told: Mapping[Subject, float] = field(default_factory=dict)

    def value(self, subject: Subject) -> float | None:
        """Return what was told of a subject, or last of the same in another domain."""
        found = self.told.get(subject)
        return self.told.get(any_domain(subject)) if found is None else found

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of which anything was told."""
        return frozenset(subject.kind for subject in self.told)

    @property
    def by_selector(self) -> Mapping[tuple[int, int], float]:
        """(observation domain, sampler or selector) to rate."""
        return {(domain, number): rate for domain, number, rate in self._of("selector")}

    @property
    def by_interface(self) -> Mapping[tuple[int, int], float]:
        """(observation domain, interface) to rate."""
        return {(domain, number): rate for domain, number, rate in self._of("interface")}

    @property
    def by_domain(self) -> Mapping[int, float]:
        """Observation domain to rate."""
        return {domain: rate for domain, _, rate in self._of("domain")}

    @property
    def init_ms(self) -> Mapping[int, float]:
        """Observation domain to boot time (element 160), milliseconds UTC."""
        return {domain: boot_ms for domain, _, boot_ms in self._of("init")}

    @property
    def exporters(self) -> list[tuple[int, int]]:
        """The exporters that were named for any domain, as halves."""
        numbers = {int(number) for _, _, number in self._of("exporter")}
        return [(number >> 64, number & (1 << 64) - 1) for number in sorted(numbers)]

    def _of(self, kind: str) -> Iterator[tuple[int, int, float]]:
        for subject, value in self.told.items():
            if subject.kind == kind and subject.domain != ANY_DOMAIN:
                yield subject.domain, subject.number, value


class Learning:
    """What is told of one session over a course of facts, so that every moment can be asked for.

    Attributes
    ----------
    lent
        What another session told; it serves where this one tells nothing, and is not learned.
    moments
        Those at which something changed, ascending.
    refused
        Facts about new subjects beyond `MAX_SUBJECTS`.
    """

    def __init__(self, before: Sampling, lent: Sampling | None = None) -> None:
        self.before, self.lent = before, before if lent is None else lent
        self.moments: list[int] = []
        self.refused = 0
        self._changes: dict[Subject, list[tuple[int, float]]] = {}
        self._kinds: set[str] = set()
        self._size = len(before.told)

    def learn(self, moment: int, fact: SamplingFact) -> None:
        """Take a fact in; moments never go back."""
        subjects = {fact.subject, any_domain(fact.subject)}
        new = sum(s not in self._changes and s not in self.before.told for s in subjects)
        if new and self._size + new > MAX_SUBJECTS:
            self.refused += 1
            return
        self._size += new
        for subject in subjects:
            self._set(moment, subject, fact.value)

    def value(self, subject: Subject, moment: int) -> float | None:
        """Return what was known of a subject at a moment (see `Sampling.value`)."""
        for own in (subject, any_domain(subject)):
            if (value := self._exactly(own, moment)) is not None:
                return value
        return self.lent.value(subject)

    def of_domain(self, kind: str, domain: int, moment: int) -> float | None:
        """Return what was known of this very domain at a moment."""
        subject = Subject(kind, domain)
        value = self._exactly(subject, moment)
        return self.lent.told.get(subject) if value is None else value

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of which anything was ever told."""
        return self.before.kinds | self.lent.kinds | self._kinds

    def after(self) -> Sampling:
        """Return what is known in the end; the very same as before when nothing new was told."""
        if not self.moments:
            return self.before
        news = {subject: changes[-1][1] for subject, changes in self._changes.items()}
        return Sampling({**self.before.told, **news})

    def _exactly(self, subject: Subject, moment: int) -> float | None:
        changes = self._changes.get(subject)
        if changes:
            at = bisect_right(changes, moment, key=lambda change: change[0])
            if at:
                return changes[at - 1][1]
        return self.before.told.get(subject)

    def _set(self, moment: int, subject: Subject, value: float) -> None:
        changes = self._changes.get(subject)
        if (changes[-1][1] if changes else self.before.told.get(subject)) == value:
            return
        if not self.moments or self.moments[-1] != moment:
            self.moments.append(moment)
        self._kinds.add(subject.kind)
        if changes and changes[-1][0] == moment:
            changes[-1] = (moment, value)
        else:
            self._changes.setdefault(subject, []).append((moment, value))


def any_domain(subject: Subject) -> Subject:
    """Return the same subject of whatever domain."""
    return Subject(subject.kind, ANY_DOMAIN, subject.number)


def learned(sampling: Sampling, facts: Iterable[SamplingFact]) -> Sampling:
    """Return what is known after some facts; the very same value when they say nothing new."""
    learning = Learning(sampling)
    for fact in facts:
        learning.learn(0, fact)
    return learning.after()


def sampling_rates(plan: DecodePlan, records: Records) -> NDArray[np.float64] | None:
    """Read the sampling rate that each record itself carries.

    Returns
    -------
    NDArray[float64] or None
        shape (n_records,), 0 where a record says nothing usable; None when the layout has no such
        element.

    Notes
    -----
    Counted in packets: one of `samplingInterval` or `samplerRandomInterval`;
    (interval + space) / interval (RFC 5477 section 8.2); population / size; 1 / probability.
    Counted in flows (396, 397): spacing / interval, since exporters that select one flow in N
    write N as the spacing; RFC 7014 would have N - 1.
    """
    index = plan.first_index
    if plan.elements.isdisjoint(_RATE_ELEMENTS):
        return None

    def number(element: int) -> NDArray[np.float64] | None:
        at = index.get((0, element))
        return None if at is None else records.unsigned(at).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for element in (34, 50):
            rate = number(element)
            if rate is not None:
                return _byte_order_repaired(rate)
        interval, space = number(305), number(306)
        if interval is not None:
            return _usable(interval if space is None else (interval + space) / interval)
        size, population = number(309), number(310)
        if size is not None and population is not None:
            return _usable(population / size)
        if (0, 311) in index:
            return _usable(1.0 / records.floating(index[0, 311]))
        interval, spacing = number(396), number(397)
        if interval is not None:
            return _usable(interval if spacing is None else spacing / interval)
    return None


def _byte_order_repaired(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo RouterOS 6, which sends the interval of four octets in the wrong byte order."""
    swapped = (rate >= 1 << 24) & (rate < 1 << 32) & (rate % (1 << 16) == 0)
    if swapped.any():
        rate[swapped] = rate[swapped].astype(np.uint32).byteswap()
    return rate


def _usable(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(rate) & (rate >= 1), rate, 0.0)


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
    at = plan.first_index.get((0, DOMAIN_ELEMENT))
    domain_of = domains if at is None else records.unsigned(at)
    at = plan.first_index.get((0, SYSTEM_INIT_ELEMENT))
    if at is not None:
        boot = records.unsigned(at)
        usable = np.flatnonzero((boot > 0) & (boot < _LATEST_BOOT_MS))
        yield from _told("init", usable, (sets, domain_of, np.zeros_like(domains)), boot)
    halves = exporter_halves(plan, records)
    if halves is not None:
        addresses = halves[0].astype(object) << 64 | halves[1].astype(object)
        usable = np.flatnonzero(halves[0] | halves[1])
        yield from _told("exporter", usable, (sets, domain_of, np.zeros_like(domains)), addresses)
    rates = sampling_rates(plan, records)
    if rates is not None:
        kind, numbers = _subject(plan, records)
        yield from _told(kind, np.flatnonzero(rates), (sets, domain_of, numbers), rates)


def _told(
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
    told = zip(usable.tolist(), of_domain, of_number, values[usable].tolist(), strict=True)
    for record, domain, number, value in told:
        yield record, SamplingFact(Subject(kind, domain, number), value)


def _subject(plan: DecodePlan, records: Records) -> tuple[str, NDArray[Any]]:
    """Return what the records are about, and its number in each."""
    for kind, elements in (("selector", SELECTOR_ELEMENTS), ("interface", INTERFACE_ELEMENTS)):
        for element in elements:
            at = plan.first_index.get((0, element))
            if at is not None:
                return kind, records.unsigned(at)
    at = plan.first_index.get((V9_SCOPE, V9_SCOPE_INTERFACE))
    if at is not None:
        return "interface", records.unsigned(at)
    return "domain", np.zeros(records.n_records, np.int64)
