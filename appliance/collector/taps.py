"""Hands every block of datagrams to the taps of plugins, before anybody decodes it.

Each call is in its tap's guard: one that fails is counted, and receiving goes on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence

from appliance.contracts import DatagramTap
from appliance.decoding.messages.block import DatagramBlock
from appliance.guard import PluginError
from appliance.settings.types import ListenAddress

log = logging.getLogger(__name__)


class DatagramTaps:
    """The taps of one collector, used by its thread."""

    def __init__(self, taps: Sequence[DatagramTap]) -> None:
        self._taps, self._started = taps, list[DatagramTap]()

    def start(self, listen: Sequence[ListenAddress]) -> None:
        """Start each; one that fails in an unknown way is left out.

        Raises
        ------
        StartupError
            One cannot be started as configured.
        """
        for tap in self._taps:
            with contextlib.suppress(PluginError):
                warnings = tap.start(listen)
                self._started.append(tap)
                for text in warnings:
                    log.warning("%s: %s", tap.name, text)

    def take(self, block: DatagramBlock) -> None:
        """Let each look at a block."""
        for tap in self._started:
            with contextlib.suppress(PluginError):
                tap.take(block)

    def figures(self) -> dict[str, Mapping[str, Mapping[str, int]]]:
        """Return the counts of each, by its name."""
        counts = {}
        for tap in self._started:
            with contextlib.suppress(PluginError):
                counts[tap.name] = tap.figures()
        return counts

    def stop(self) -> None:
        """Stop those that were started."""
        for tap in self._started:
            with contextlib.suppress(PluginError):
                tap.stop()
