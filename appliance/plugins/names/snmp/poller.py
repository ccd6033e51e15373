"""The poller: asks every exporter that is to be asked, and keeps what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from appliance import ExporterRecord, PollReport, Settings
from appliance.interface_history import DeviceReading, interface_history
from appliance.plugins.names.snmp.own_agents import own_agents
from appliance.plugins.names.snmp.snmp_settings import (
    CONCURRENCY,
    COUNTERS_AGE,
    INTERVAL,
    TIMEOUT,
    agent_of,
    credential_problems,
)

MIN_INTERVAL_SECONDS = 10.0


class SnmpPoller:
    """Reads names, speeds and counters of interfaces by SNMP into the history."""

    name = "SNMP"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._history = interface_history(settings)

    @property
    def interval_seconds(self) -> float:
        """From the start of one round to the start of the next."""
        return max(float(self._settings[INTERVAL.name]), MIN_INTERVAL_SECONDS)

    def poll(self, exporters: Sequence[ExporterRecord], now: float) -> PollReport:
        """Ask every exporter once, and keep what they answer.

        Raises
        ------
        StorageError
            It cannot be kept.
        """
        # Its library takes half a second, and settings and checks do without.
        from appliance.plugins.names.snmp.client import Limits, read_devices

        settings = self._settings
        own = own_agents(settings).all()
        agents = [agent_of(exporter.address, settings, own) for exporter in exporters]
        limits = Limits(settings[TIMEOUT.name], settings[CONCURRENCY.name])
        answers = asyncio.run(read_devices([agent for agent in agents if agent], limits))
        readings = [said for _, said in answers if isinstance(said, DeviceReading)]
        self._history.record(readings)
        self._history.expire_counters(int((now - settings[COUNTERS_AGE.name]) * 1000))
        silent = [(agent, said) for agent, said in answers if not isinstance(said, DeviceReading)]
        return PollReport(
            len(readings),
            [agent.exporter for agent, _ in silent],
            [
                *credential_problems(settings),
                *(f"{agent.exporter} at {agent.address}: {said}" for agent, said in silent),
            ],
        )
