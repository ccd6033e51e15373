"""What keeps the counters of interfaces that exporters send by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class ExportedCounters(NamedTuple):
    """What an exporter said of one of its interfaces at one moment.

    Attributes
    ----------
    exporter
        The device's address, as its flows have it.
    domain
        The observation domain that counts: two of a device may count one interface, each from a
        beginning of its own.
    version
        The protocol, as `export_protocol_version` has it.
    time_ms, uptime_ms
        When it came, milliseconds UTC; milliseconds since the start of what counts.
    speed
        Bits a second; 0 where it is not told.
    is_up
        Whether packets pass (ifOperStatus); None where that is not told.
    in_octets, out_octets
        Counters of 64 bits; None where there is none.
    """

    exporter: str
    if_index: int
    domain: int
    version: int
    time_ms: int
    uptime_ms: int
    speed: int
    is_up: bool | None
    in_octets: int | None
    out_octets: int | None


class CounterSink(Protocol):
    """Keeps counters of interfaces.

    Attributes
    ----------
    name
        For people, in the log.
    """

    @property
    def name(self) -> str:
        """Where they are kept."""
        ...

    def keep(self, counters: Sequence[ExportedCounters], now: float) -> None:
        """Keep counters, of each interface and five minutes the first; may be empty.

        Raises
        ------
        StorageError
            They cannot be kept, and are counted as lost.
        """
        ...
