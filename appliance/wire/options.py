"""What options records say about the flows beside them: sampling, boot time, names.

Documents: RFC 3954 section 6, RFC 7011 section 3.4.2, IANA elements 34, 35, 48-50, 302, 304-306,
309-311 (sampling), 160 (systemInitTimeMilliseconds), 94-96 (applications), 82 and 83
(interfaces). `Sampling` is a value: learning gives a new one, so that a block can use several in
turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.wire.plan import DecodePlan, Records
from appliance.wire.template import V9_SCOPE

K = TypeVar("K")
V = TypeVar("V")

SAMPLING_ELEMENTS = (34, 50, 305, 306, 309, 310, 311)
SELECTOR_ELEMENTS = (48, 302)
INTERFACE_ELEMENTS = (10, 14, 252, 253)
SYSTEM_INIT_ELEMENT = 160
DOMAIN_ELEMENT = 149
V9_SCOPE_INTERFACE = 2

MAX_SELECTORS = 4096
"""Samplers, interfaces and domains remembered for one exporter, each; more are not learned."""


@dataclass(frozen=True)
class Sampling:
    """The sampling rates of one exporter, as its options records told them.

    Attributes
    ----------
    by_selector, by_interface
        (observation domain, sampler or selector identifier | interface) to rate: one of so many.
    by_domain
        Observation domain to rate.
    exporter
        The rate told last for a whole domain; for domains that told none.
    init_ms
        Observation domain to boot time (element 160), milliseconds UTC.
    """

    by_selector: Mapping[tuple[int, int], float] = field(default_factory=dict)
    by_interface: Mapping[tuple[int, int], float] = field(default_factory=dict)
    by_domain: Mapping[int, float] = field(default_factory=dict)
    exporter: float = 0.0
    init_ms: Mapping[int, int] = field(default_factory=dict)

    def selector(self, domain: int, selector: int) -> float:
        """Return the rate of a sampler; one of another domain serves as well. 0: not known."""
        own = self.by_selector.get((domain, selector))
        if own is not None:
            return own
        others = (r for (_, number), r in self.by_selector.items() if number == selector)
        return next(others, 0.0)

    def base_rate(self, domain: int) -> float:
        """Return the rate of a domain, else of the exporter. 0: not known."""
        return self.by_domain.get(domain, self.exporter)


class SamplingFact(NamedTuple):
    """One thing that an options record told.

    Attributes
    ----------
    kind
        `selector`, `interface`, `domain` or `init`.
    number
        Sampler or interface; 0 for the others.
    value
        Rate, or boot time in milliseconds.
    """

    kind: str
    domain: int
    number: int
    value: float


def learned(sampling: Sampling, fact: SamplingFact) -> Sampling:
    """Return what is known after a fact; the very same value when it says nothing new."""
    if fact.kind == "init":
        if sampling.init_ms.get(fact.domain) == fact.value:
            return sampling
        return replace(sampling, init_ms=_with(sampling.init_ms, fact.domain, int(fact.value)))
    if fact.kind == "domain":
        if sampling.by_domain.get(fact.domain) == fact.value == sampling.exporter:
            return sampling
        by_domain = _with(sampling.by_domain, fact.domain, fact.value)
        return replace(sampling, by_domain=by_domain, exporter=fact.value)
    name = f"by_{fact.kind}"
    known: Mapping[tuple[int, int], float] = getattr(sampling, name)
    key = (fact.domain, fact.number)
    if known.get(key) == fact.value:
        return sampling
    if fact.kind == "selector":
        return replace(sampling, by_selector=_with(known, key, fact.value))
    return replace(sampling, by_interface=_with(known, key, fact.value))


def _with(known: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    if key not in known and len(known) >= MAX_SELECTORS:
        return known
    return {**known, key: value}


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
    """
    index = plan.first_index

    def number(element: int) -> NDArray[np.float64] | None:
        at = index.get((0, element))
        return None if at is None else records.unsigned(at).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
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
    return None


def _byte_order_repaired(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo RouterOS 6, which sends the interval in the wrong byte order."""
    swapped = (rate >= 1 << 24) & (rate % (1 << 16) == 0)
    if swapped.any():
        numbers = rate[swapped].astype(np.uint32).byteswap()
        rate[swapped] = numbers
    return rate


def _usable(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(rate) & (rate >= 1), rate, 0.0)


def sampling_facts(
    plan: DecodePlan, records: Records, domains: NDArray[np.int64]
) -> Iterator[tuple[int, SamplingFact]]:
    """Yield what options records tell about sampling and boot time, with the record's index.

    Parameters
    ----------
    domains
        int64, shape (n_records,): observation domain of each record's message.

    Notes
    -----
    The kind of scope is not trusted: a sampler identifier anywhere in the record makes it one of a
    sampler, an interface one of an interface; else it is about the domain.
    """
    domain_of = _domains(plan, records, domains)
    at = plan.first_index.get((0, SYSTEM_INIT_ELEMENT))
    if at is not None:
        for record, boot in enumerate(records.unsigned(at).tolist()):
            yield record, SamplingFact("init", domain_of[record], 0, boot)
    rates = sampling_rates(plan, records)
    if rates is None:
        return
    kind, numbers = _subject(plan, records)
    for record, rate in enumerate(rates.tolist()):
        if rate:
            yield record, SamplingFact(kind, domain_of[record], numbers[record], rate)


def _domains(plan: DecodePlan, records: Records, domains: NDArray[np.int64]) -> list[int]:
    at = plan.first_index.get((0, DOMAIN_ELEMENT))
    found: list[int] = (domains if at is None else records.unsigned(at)).tolist()
    return found


def _subject(plan: DecodePlan, records: Records) -> tuple[str, list[int]]:
    for kind, elements in (("selector", SELECTOR_ELEMENTS), ("interface", INTERFACE_ELEMENTS)):
        for element in elements:
            at = plan.first_index.get((0, element))
            if at is not None:
                return kind, records.unsigned(at).tolist()
    at = plan.first_index.get((V9_SCOPE, V9_SCOPE_INTERFACE))
    if at is not None:
        return "interface", records.unsigned(at).tolist()
    return "domain", [0] * records.n_records
