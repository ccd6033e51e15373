"""Who is let in by a listener: so many connections at a time, so many of one client.

Where all places are taken, a newcomer gets the place of whoever has most of them, from the
connection that has been silent for longest: a few clients cannot keep others out, whatever they do
with their connections.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from appliance.ratelimit import RateLimited
from appliance.web.clients import UNKNOWN, client_of

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What is held in a place."""

    @property
    def silent_since(self) -> float | None:
        """When it last sent or received, on any clock; None: it must not be given up now."""
        ...

    def give_up(self) -> None:
        """End it soon; does not wait."""
        ...


C = TypeVar("C", bound=Connection)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections a listener holds at a time, and how many of one client."""

    connections: int = 512
    per_client: int = 128

    @classmethod
    def of(cls, connections: int) -> ConnectionLimits:
        """Return the limits of a listener with so many places."""
        return cls(connections, max(connections // 4, 1))


class Places(Generic[C]):
    """The connections of one listener; for one thread.

    Parameters
    ----------
    name
        Of the listener, for the log.

    Attributes
    ----------
    counts
        Connections by what became of them: refused, given_up.
    """

    def __init__(self, limits: ConnectionLimits, name: str) -> None:
        self._limits, self._name = limits, name
        self._log = RateLimited(log)
        self._clients: dict[C, str] = {}
        self._of_client: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._clients)

    def make_room(self, address: str) -> bool:
        """Return whether a connection from an address may be added; may give another one up."""
        client = client_of(address)
        is_free = len(self._clients) < self._limits.connections
        is_allowed = client == UNKNOWN or self._of_client[client] < self._limits.per_client
        if is_allowed and (is_free or self._give_up_one(self._of_client[client])):
            return True
        self.counts["refused"] += 1
        self._log.warning("%s: too many connections, refused one from %s", self._name, client)
        return False

    def add(self, connection: C, address: str) -> None:
        """Hold a connection."""
        client = client_of(address)
        self._clients[connection] = client
        self._of_client[client] += 1

    def discard(self, connection: C) -> None:
        """Forget a connection; one that is not held is no error."""
        client = self._clients.pop(connection, None)
        if client is not None:
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def _give_up_one(self, more_than: int) -> bool:
        """Give up the longest silent connection of the client with most, if it has more."""
        candidates = (
            (-self._of_client[client], connection.silent_since, connection)
            for connection, client in self._clients.items()
            if self._of_client[client] > more_than
        )
        ranked = ((many, since, each) for many, since, each in candidates if since is not None)
        victim = min(ranked, key=lambda item: item[:2], default=None)
        if victim is None:
            return False
        self.discard(victim[2])
        self.counts["given_up"] += 1
        self._log.warning("%s: too many connections, closed a silent one", self._name)
        victim[2].give_up()
        return True
