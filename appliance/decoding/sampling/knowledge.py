"""What the options records of a session told: sampling rates, boot times, whose flows they are.

`Sampling` is a value: learning gives a new one, so that a block can use several in turn. How
records tell it: `option_records`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

ANY_DOMAIN = -1
"""Stands for the domain that spoke last, where a domain has told nothing itself."""

MAX_SUBJECTS = 16_384
"""Samplers, interfaces and domains remembered of one session together; more are not learned."""


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


NOTHING_TOLD = Sampling()


class Learning:
    """What is told of one session over a course of facts, so that every moment can be asked for.

    Attributes
    ----------
    lent
        What another session told; it serves where this one tells nothing, and is not learned.
    of_others
        What other collectors were told of these very subjects; not learned either.
    moments
        Those at which something changed, ascending.
    refused
        Facts about new subjects beyond `MAX_SUBJECTS`.
    """

    def __init__(
        self, before: Sampling, lent: Sampling | None = None, of_others: Sampling = NOTHING_TOLD
    ) -> None:
        self.before, self.lent = before, before if lent is None else lent
        self.of_others = of_others
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
        if (value := self._exactly(subject, moment)) is not None:
            return value
        of_any = self._exactly(any_domain(subject), moment)
        if of_any is None and (value := self.lent.told.get(subject)) is not None:
            return value
        # What another domain told here is a guess; others were told of this one.
        if (value := self.of_others.told.get(subject)) is not None:
            return value
        return self.lent.value(subject) if of_any is None else of_any

    def of_domain(self, kind: str, domain: int, moment: int) -> float | None:
        """Return what was known of this very domain at a moment."""
        subject = Subject(kind, domain)
        value = self._exactly(subject, moment)
        return self.lent.told.get(subject) if value is None else value

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of which anything was ever told."""
        return self.before.kinds | self.lent.kinds | self.of_others.kinds | self._kinds

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


def with_facts(sampling: Sampling, facts: Iterable[SamplingFact]) -> Sampling:
    """Return what is known after some facts; the very same value when they say nothing new."""
    learning = Learning(sampling)
    for fact in facts:
        learning.learn(0, fact)
    return learning.after()
