"""The exporters that were first heard a moment ago, whom anybody could have invented.

NetFlow is UDP: a stranger can send from as many addresses as there are. So newcomers share the
places that known exporters leave, and when these are full one newcomer gives way to another: of a
few drawn by lot the one that sent least. An honest exporter goes on sending and stays; inventions
push out inventions.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable

from appliance.decoding.results import Exporter
from appliance.flows import address_text
from appliance.settings.file import Settings

KNOWN_AFTER_MS = 60_000
"""An exporter heard of for longer than this is more than a newcomer."""

_DRAWN = 8


def exporters_in_settings(settings: Settings) -> Callable[[Exporter], bool]:
    """Return a function that tells whether the settings speak of an exporter."""
    if settings["collector.allowed_exporters"]:
        return lambda _: True  # nobody else is received
    networks = [
        *settings["collector.sampling_overrides"],
        *map(ipaddress.ip_network, settings["collector.renamed_elements"]),
    ]
    return lambda exporter: any(
        ipaddress.ip_address(address_text(*exporter)) in network for network in networks
    )


class Newcomers:
    """A set of exporters, one of which can be drawn by lot."""

    def __init__(self) -> None:
        self._places: dict[Exporter, int] = {}
        self._exporters: list[Exporter] = []
        self._random = random.Random()  # noqa: S311 - fair, not secret

    def __len__(self) -> int:
        return len(self._exporters)

    def __contains__(self, exporter: Exporter) -> bool:
        return exporter in self._places

    def add(self, exporter: Exporter) -> None:
        """Take one in that is not there."""
        self._places[exporter] = len(self._exporters)
        self._exporters.append(exporter)

    def remove(self, exporter: Exporter) -> None:
        """Take one out."""
        place, last = self._places.pop(exporter), self._exporters.pop()
        if last != exporter:
            self._exporters[place], self._places[last] = last, place

    def least(self, measure: Callable[[Exporter], int]) -> Exporter:
        """Return the one of a few, drawn by lot, that measures least."""
        n = len(self._exporters)
        drawn = (self._exporters[self._random.randrange(n)] for _ in range(_DRAWN))
        return min(drawn, key=measure)
