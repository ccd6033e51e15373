"""The types that plugins and the core exchange: what hooks return and what the core calls.

Everything here is passive. Who calls what, when and in which thread is told in
`appliance.hookspecs`; settings have their own module, `appliance.settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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

SIGNED_IN = "signed in"
"""The role of a route that every authenticated caller may call, whatever their roles."""

USER = "User"
ADMINISTRATOR = "Administrator"
"""The roles that accounts and tokens have; an administrator may call every route."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of the web server.

    Attributes
    ----------
    method, path
        `GET` and `/api/v1/things/<name>`, in Bottle's notation.
    handler
        Takes the path's parts and what else it needs as arguments, by name (`appliance.web.calls`
        has the list); returns what JSON knows, or an `Answer`.
    role
        Who may call it; None denies everyone, `PUBLIC` none.
    schema
        OpenAPI's description of the operation, merged over what the route itself tells.
    open_from_loopback
        Callers on this machine need no token.
    open_without_auth
        Open to everyone on a listener that is configured with `needAuth: false`.
    changes
        It changes something although its method is GET.
    error_body
        Returns the JSON of an error from its sentence, where the published API has a form of its
        own for what the handler refuses; None is the form of all others.
    whole_list
        Without the query parameter `limit` it answers a list of any length; few are made at a time.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    role: str | None = None
    schema: Mapping[str, Any] | None = None
    open_from_loopback: bool = False
    open_without_auth: bool = False
    changes: bool = False
    error_body: Callable[[str], Mapping[str, Any]] | None = None
    whole_list: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when it is not simply JSON with status 200.

    Attributes
    ----------
    body
        Octets go out as they are, everything else as JSON.
    cookies
        A header Set-Cookie for each.
    """

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a route.

    Attributes
    ----------
    from_cookie
        The browser sent the proof by itself, so what changes something must not come from another
        site.
    account
        Identifier of the user; None when it is not a user who signed in.
    """

    name: str
    roles: frozenset[str] = frozenset()
    from_cookie: bool = False
    account: int | None = None


class BackupPart(Protocol):
    """What a plugin keeps, for `appliance backup` and `appliance restore`.

    Attributes
    ----------
    name
        The folder in the archive; letters, digits and `-`.
    """

    @property
    def name(self) -> str:
        """The folder in the archive."""
        ...

    def save(self, folder: Path) -> None:
        """Write it to files in an empty folder, as of one moment, while everything runs.

        Raises
        ------
        ApplianceError
            It cannot be read now.
        """
        ...

    def restore(self, folder: Path) -> None:
        """Put back what `save` wrote; neither collector nor API runs.

        Raises
        ------
        ApplianceError
            The files do not fit what is configured, or it cannot be written now.
        """
        ...


class MetricsCollector(Protocol):
    """What Prometheus scrapes: a collector as of `prometheus_client`."""

    def collect(self) -> Iterable[Any]:
        """Yield the families of metrics that there are now."""
        ...


StoreFactory = Callable[[str, Settings], Any]
"""Opens a store of flows: called with its URL and the settings."""


THE_CORE = "the appliance itself"
"""Stands in a plugin's place for what the core has of its own."""


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """Something that a plugin registered, with that plugin's name for logs and counters."""

    plugin: str
    value: T
