"""Names of addresses by the DNS (PTR records, RFC 1035 section 3.5), for whoever looks at a host.

A question never waits for the DNS: threads of their own ask it, a few at a time, and what comes
back is kept as long as its TTL says. The names are what the owner of an address says.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from appliance.settings.raw_values import list_items, scalar_text
from appliance.settings.types import Address, ListenAddress, parse_listen_address

if TYPE_CHECKING:
    from dns.nameserver import Nameserver
    from dns.resolver import Answer

OFF, INSIDE, ALL = "off", "inside", "all"

NAMED, NAMELESS, PENDING, FAILED, NOT_ASKED = "named", "nameless", "pending", "failed", "not asked"
STATES = (NAMED, NAMELESS, PENDING, FAILED, NOT_ASKED)

DNS_PORT = 53
QUESTION_SECONDS = 3.0
MAX_QUESTIONS = 16
"""At a time; for others the caller asks again."""
MAX_KEPT = 10_000
MIN_TTL_SECONDS, MAX_TTL_SECONDS = 60.0, 86_400.0
NEGATIVE_SECONDS = 600.0
"""So long an address without a name is not asked for again."""
FAILED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Resolvers:
    """The type of the setting that says who is asked."""

    expected: str = "a list of addresses such as 192.0.2.53 or [2001:db8::53]:5353"

    def parse(self, raw: object, folder: Path) -> tuple[ListenAddress, ...]:
        """Return the addresses, with the port of the DNS where there is none."""
        return tuple(_resolver(scalar_text(item)) for item in list_items(raw))


def _resolver(text: str) -> ListenAddress:
    try:
        return ListenAddress(str(ipaddress.ip_address(text)), DNS_PORT)
    except ValueError:
        return parse_listen_address(text)


class ReverseName(NamedTuple):
    """What is known of an address: a state of `STATES`, and the name if it is `NAMED`."""

    state: str
    name: str | None = None


class ReverseNames:
    """Looks names up, and keeps them.

    Parameters
    ----------
    asks_for
        Tells whether the DNS may be asked for an address.
    resolvers
        Who is asked; empty: those of the machine.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        asks_for: Callable[[Address], bool],
        resolvers: Sequence[ListenAddress] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asks_for, self._resolvers, self._clock = asks_for, resolvers, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Address, tuple[float, ReverseName]] = OrderedDict()
        self._questions: dict[Address, threading.Thread] = {}

    def name(self, address: Address, patience_seconds: float = 0.0) -> ReverseName:
        """Return what is known of an address; of one that is not known the DNS is asked.

        Parameters
        ----------
        patience_seconds
            So long the answer is waited for.
        """
        if not self._asks_for(address):
            return ReverseName(NOT_ASKED)
        with self._lock:
            if known := self._known(address):
                return known
            question = self._questions.get(address) or self._begin(address)
        if question is not None and patience_seconds:
            question.join(patience_seconds)
        with self._lock:
            return self._known(address) or ReverseName(PENDING)

    def _known(self, address: Address) -> ReverseName | None:
        until, known = self._kept.get(address, (0.0, None))
        return known if until > self._clock() else None

    def _begin(self, address: Address) -> threading.Thread | None:
        """Begin to ask, unless too many questions are asked already."""
        if len(self._questions) >= MAX_QUESTIONS:
            return None
        thread = threading.Thread(
            target=self._ask, args=(address,), name="reverse-name", daemon=True
        )
        self._questions[address] = thread
        thread.start()
        return thread

    def _ask(self, address: Address) -> None:
        known, seconds = ReverseName(FAILED), FAILED_SECONDS
        try:
            known, seconds = ask_dns(address, self._resolvers)
        finally:
            with self._lock:
                del self._questions[address]
                self._kept[address] = self._clock() + seconds, known
                self._kept.move_to_end(address)
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)


def ask_dns(address: Address, resolvers: Sequence[ListenAddress]) -> tuple[ReverseName, float]:
    """Ask for the name of an address; return it, and how many seconds it may be kept."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer, Resolver
    from dns.reversename import from_address

    try:
        resolver = Resolver(configure=not resolvers)
        if resolvers:
            resolver.nameservers = [_nameserver(one) for one in resolvers]
        question = from_address(str(address))
        answer = resolver.resolve(question, "PTR", lifetime=QUESTION_SECONDS, search=False)
    except (NXDOMAIN, NoAnswer):
        return ReverseName(NAMELESS), NEGATIVE_SECONDS
    # Whatever else a server answers, or the machine's configuration says.
    except (DNSException, OSError, ValueError):
        return ReverseName(FAILED), FAILED_SECONDS
    return ReverseName(NAMED, first_name(answer)), _kept_seconds(answer)


def _nameserver(address: ListenAddress) -> Nameserver:
    from dns.nameserver import Do53Nameserver

    return Do53Nameserver(address.host, address.port)


def first_name(answer: Answer) -> str:
    """Return the first name of an answer, by the alphabet: servers turn their order.

    Octets that are no letters are escaped (RFC 1035 section 5.1).
    """
    return min(str(record.target.to_text(omit_final_dot=True)) for record in answer)


def _kept_seconds(answer: Answer) -> float:
    ttl = 0 if answer.rrset is None else answer.rrset.ttl
    return min(max(float(ttl), MIN_TTL_SECONDS), MAX_TTL_SECONDS)
