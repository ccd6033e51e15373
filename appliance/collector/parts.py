"""What a collector is built of; `appliance.app` puts it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.contracts import CounterSink, DatagramTap, TemplateFile
from appliance.guard import (
    GuardedDecoder,
    GuardedEngine,
    GuardedEnricher,
    GuardedRedactor,
    PluginFailures,
)
from appliance.settings.file import Settings


class Announce(Protocol):
    """Tells plugins what happened."""

    def __call__(self, hook: str, **facts: object) -> None:
        """Call a hook (`collector_started`, ...) of every plugin; none can veto."""
        ...


@dataclass(frozen=True, slots=True)
class CollectorParts:
    """What a collector takes from the settings and from plugins.

    Attributes
    ----------
    failures
        Of plugins in this process.
    engines
        By name: what can receive in place of our own receiver.
    template_files
        In which the collector keeps templates beside its own file.
    taps
        What gets a copy of every datagram.
    redactors
        What every batch goes through last, before it is written.
    counter_sinks
        What keeps counters of interfaces that exporters send.
    """

    settings: Settings
    decoders: Sequence[GuardedDecoder]
    enrichers: Sequence[GuardedEnricher]
    failures: PluginFailures
    announce: Announce
    engines: Mapping[str, GuardedEngine] = field(default_factory=dict)
    template_files: Sequence[TemplateFile] = ()
    taps: Sequence[DatagramTap] = ()
    redactors: Sequence[GuardedRedactor] = ()
    counter_sinks: Sequence[CounterSink] = ()
