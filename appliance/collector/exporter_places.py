"""Which exporters are kept: known ones, and newcomers as far as there is room.

A known exporter never gives way to a newcomer. What is booked here is an estimate of the memory
that an exporter takes; `exporters` says what is kept of each.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

from appliance.collector.exporter_state import ExporterLimits, ExporterState
from appliance.collector.newcomers import KNOWN_AFTER_MS, Newcomers
from appliance.decoding.results import Exporter
from appliance.decoding.templates.timeline import SessionDomain

_NEWCOMERS_SHARE = 4
"""Newcomers have this part of the memory."""


class ExporterPlaces:
    """The exporters, the one heard last at the end.

    Attributes
    ----------
    changed
        Scopes whose sequence numbers changed since `take_changes`.
    octets, newcomers_octets
        Estimate of the memory that all exporters take, and those that are new.
    newcomers_forgotten_ms
        When a newcomer last had to give way, milliseconds UTC; 0: never.
    appeared
        Exporters that are new since the caller last cleared this.
    """

    def __init__(
        self, limits: ExporterLimits, is_named: Callable[[Exporter], bool] = lambda _: False
    ) -> None:
        """Keep nobody yet.

        Parameters
        ----------
        is_named
            Whether the settings speak of an exporter, which is then never a newcomer.
        """
        self.limits, self._is_named = limits, is_named
        self.counts: Counter[str] = Counter()
        self.exporters: OrderedDict[Exporter, ExporterState] = OrderedDict()
        self.appeared: list[Exporter] = []
        self.octets = 0
        self._newcomers = Newcomers()
        self.newcomers_octets = self.newcomers_forgotten_ms = 0
        self.changed: set[SessionDomain] = set()
        self._reported: set[SessionDomain] = set()
        self._forgotten: set[SessionDomain] = set()

    def is_known(self, exporter: Exporter) -> bool:
        """Tell whether an exporter is there and no newcomer any more."""
        return exporter in self.exporters and exporter not in self._newcomers

    @property
    def n_newcomers(self) -> int:
        """How many exporters are newcomers."""
        return len(self._newcomers)

    def know(self, exporter: Exporter) -> None:
        """Take an exporter for known: it was before a restart."""
        if exporter in self._newcomers:
            self._promote(exporter)

    def make_room(self) -> None:
        """Keep to the limit on memory."""
        share = self.limits.octets // _NEWCOMERS_SHARE
        while (
            self._newcomers
            and len(self.exporters) > 1
            and (self.newcomers_octets > share or self.octets > self.limits.octets)
        ):
            self._forget_newcomer(lambda exporter: -self.exporters[exporter].octets)
        while self.octets > self.limits.octets and len(self.exporters) > 1:
            self.forget(max(self.exporters, key=lambda e: self.exporters[e].octets))

    def open(self, exporter: Exporter, now_ms: int) -> ExporterState:
        """Return what is known of an exporter that is heard of now, and make it when new."""
        state = self.exporters.get(exporter)
        if state is None:
            state = self._welcome(exporter, now_ms)
        state.last_seen_ms = max(now_ms, state.last_seen_ms)
        if state.newcomer and state.last_seen_ms - state.first_seen_ms >= KNOWN_AFTER_MS:
            self._promote(exporter)
        self.exporters.move_to_end(exporter)
        return state

    def _welcome(self, exporter: Exporter, now_ms: int) -> ExporterState:
        newcomer = not self._is_named(exporter)
        if len(self.exporters) >= self.limits.exporters + self.limits.newcomers:
            if self._newcomers:
                self._forget_newcomer(lambda e: self.exporters[e].counts["datagrams"])
                self.newcomers_forgotten_ms = now_ms
            else:
                self.forget(next(iter(self.exporters)))
        state = ExporterState(newcomer=newcomer, first_seen_ms=now_ms)
        self.exporters[exporter] = state
        if newcomer:
            self._newcomers.add(exporter)
        self.appeared.append(exporter)
        return state

    def _promote(self, exporter: Exporter) -> None:
        """Let a newcomer be known; when too many are, the one long unheard of gives way."""
        state = self.exporters[exporter]
        state.newcomer = False
        self._newcomers.remove(exporter)
        self.newcomers_octets -= state.octets
        if len(self.exporters) - len(self._newcomers) > self.limits.exporters:
            known = (e for e in self.exporters if e not in self._newcomers and e != exporter)
            self.forget(next(known, exporter))

    def _forget_newcomer(self, measure: Callable[[Exporter], int]) -> None:
        self.forget(self._newcomers.least(measure))
        self.counts["newcomers_forgotten"] += 1

    def forget(self, exporter: Exporter) -> None:
        """Let an exporter go, with its templates and what waits for one."""
        gone = self.exporters.pop(exporter)
        self.octets -= gone.octets
        if gone.newcomer:
            self._newcomers.remove(exporter)
            self.newcomers_octets -= gone.octets
        else:
            self.counts["exporters_forgotten"] += 1
        self.forget_scopes(gone.sequences)
        self.counts["templates_forgotten"] += len(gone.templates)
        self.counts["waiting_sets_given_up"] += len(gone.pending)

    def forget_scopes(self, scopes: Iterable[SessionDomain]) -> None:
        """Note that the sequence numbers of scopes are gone."""
        for scope in scopes:
            self.changed.discard(scope)
            if scope in self._reported:
                self._forgotten.add(scope)

    def grow(self, state: ExporterState, octets: int) -> None:
        """Book memory for an exporter."""
        state.octets += octets
        self.octets += octets
        if state.newcomer:
            self.newcomers_octets += octets

    def take_changes(self) -> tuple[set[SessionDomain], set[SessionDomain]]:
        """Return the scopes whose sequence numbers changed since the last call, and those that are
        forgotten and were returned once before.
        """
        changed, forgotten = self.changed, self._forgotten - self.changed
        self.changed, self._forgotten = set(), set()
        self._reported |= changed
        self._reported -= forgotten
        return changed, forgotten
