"""Keeps the counters of interfaces that exporters send, beside those that SNMP reads."""

from __future__ import annotations

from collections.abc import Sequence

from appliance import ExportedCounters, Settings
from appliance.counter_history import counter_history
from appliance.plugins.names.snmp.snmp_settings import COUNTERS_AGE

EXPIRY_SECONDS = 3600.0


class CounterKeeper:
    """Writes counters to the history of the data directory; see `CounterSink`."""

    name = "counters of interfaces"

    def __init__(self, settings: Settings) -> None:
        self._history = counter_history(settings)
        self._age_seconds = float(settings[COUNTERS_AGE.name])
        self._next_expiry = 0.0

    def keep(self, counters: Sequence[ExportedCounters], now: float) -> None:
        """Write them, and delete the old ones once an hour.

        Raises
        ------
        StorageError
            They cannot be written.
        """
        if counters:
            self._history.record(counters)
        if now >= self._next_expiry and self._history.path.exists():
            self._next_expiry = now + EXPIRY_SECONDS
            self._history.expire(int((now - self._age_seconds) * 1000))
