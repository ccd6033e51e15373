"""The types that plugins and the core exchange: what hooks return and what the core calls.

Everything here is passive. Who calls what, when and in which thread is told in
`appliance.hookspecs`; settings have their own module, `appliance.settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from appliance.flows import FlowBatch
from appliance.settings import Settings
from appliance.wire.block import DatagramBlock

T = TypeVar("T")


class Decoder(Protocol):
    """Turns datagrams of one protocol version into columns.

    Attributes
    ----------
    version
        The first 16 bits of a datagram, big-endian, that this decoder takes.
    name
        For people: logs, counters, `appliance plugins`.
    """

    @property
    def version(self) -> int:
        """The version number in the first two octets."""
        ...

    @property
    def name(self) -> str:
        """The protocol as people call it."""
        ...

    def decode(self, block: DatagramBlock, state: Any, now_ms: int) -> Any:
        """Decode every datagram of a block, all of this version.

        Parameters
        ----------
        block
            Memory that the receiver reuses: nothing returned may be a view of it.
        state
            What is known of templates, sampling and sequence numbers; read, not changed.
        now_ms
            Milliseconds UTC; the decoder never looks at a clock.

        Returns
        -------
        Any
            Batches, changes of the state and counts, for the caller to commit.

        Raises
        ------
        MalformedMessage
            Nothing of the block is usable; any other exception is a bug.
        """
        ...


Enricher = Callable[[FlowBatch], FlowBatch | None]
"""Adds columns to a batch: returns a new one, or None to leave it as it is. Must not block."""

PUBLIC = "public"
"""The role of a route that everyone may call."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of the web server.

    Attributes
    ----------
    method, path
        `GET` and `/api/v1/things/<name>`, in Bottle's notation.
    handler
        Takes what it needs as arguments, returns a dictionary.
    role
        Who may call it; None denies everyone, `PUBLIC` none.
    schema
        OpenAPI's description of the operation.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    role: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a route."""

    name: str
    role: str


StoreFactory = Callable[[str, Settings], Any]
"""Opens a store of flows: called with its URL and the settings."""


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """Something that a plugin registered, with that plugin's name for logs and counters."""

    plugin: str
    value: T
