"""What gets a copy of every datagram that is received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.decoding.messages.block import DatagramBlock
from appliance.settings.types import ListenAddress


class DatagramTap(Protocol):
    """Gets every block of datagrams as it was received, before anybody decodes it.

    Attributes
    ----------
    name
        For people, and in `collector.json`.
    """

    @property
    def name(self) -> str:
        """What is done with the datagrams."""
        ...

    def start(self, listen: Sequence[ListenAddress]) -> list[str]:
        """Begin, and return sentences for the log.

        Parameters
        ----------
        listen
            Where the collector receives, with the real ports.

        Raises
        ------
        StartupError
            It cannot be done as configured; the collector does not start.
        """
        ...

    def take(self, block: DatagramBlock) -> None:
        """Look at a block; must not wait. Its memory is used again afterwards: copy what stays."""
        ...

    def figures(self) -> Mapping[str, Mapping[str, int]]:
        """Return counts by fixed words, for each thing that is counted apart."""
        ...

    def stop(self) -> None:
        """Finish what waits, within a second, and end."""
        ...
