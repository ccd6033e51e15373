"""Under which names an attempt to sign in counts, and how long it must wait.

Whoever guesses from anywhere shares a count with all strangers who guess for that account, and has
one as a client. A client that the account has signed in from before, a network in
`accounts.trusted_networks` and a browser with a device cookie have a count of their own, so that
strangers cannot keep the owner of an account out (OWASP, "Slow Down Online Guessing Attacks with
Device Cookies").
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance import AccountStore, Setting, Settings
from appliance.accounts.secret import read_secret, secret_path
from appliance.settings.types import NetworkList
from appliance.web.clients import UNKNOWN, client_address, client_of
from appliance.web.session_tokens import cookie_of_request

TRUSTED_SETTING = "accounts.trusted_networks"
DEVICE_COOKIE = "device"
DEVICE_SECONDS = 180 * 86400
CLIENT_SECONDS = 90 * 86400.0
"""How long a client is remembered that an account has signed in from."""

ACCOUNT_FREE, ACCOUNT_MOST_SECONDS = 5, 60.0
ADDRESS_FREE, ADDRESS_MOST_SECONDS = 20, 900.0
"""So many failures cost nothing; then the wait doubles with each, up to the most. An account's most
is short: who attacks it from elsewhere must not be able to lock its owner out for long."""

_NONCE_OCTETS = 16
_MOST_DEVICE_LETTERS = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in.

    Attributes
    ----------
    client
        Who makes it, by `client_of`.
    is_known
        It has a count of its own.
    waits
        By name that it counts under: how many seconds must pass after so many failures.
    forgiven, uncounted
        Names that a right password forgets, and that it takes one failure off.
    """

    client: str
    is_known: bool
    waits: Mapping[str, Callable[[int], float]]
    forgiven: tuple[str, ...]
    uncounted: tuple[str, ...] = ()


def attempt_of(
    environ: Mapping[str, Any],
    username: str,
    settings: Settings,
    accounts: AccountStore,
    now: float,
) -> Attempt:
    """Return how an attempt counts; one query at most.

    Raises
    ------
    StorageError
        The accounts are away.
    """
    address = str(environ.get("REMOTE_ADDR", ""))
    client = client_of(address)
    own = _device_name(environ, username, settings)
    if own is None and (
        _is_trusted(address, settings) or _has_signed_in(accounts, username, client, now)
    ):
        own = f"place:{_digest(username, client)}"
    if own is not None:
        return Attempt(client, True, {own: account_wait}, (own,))
    account, place = f"account:{_digest(username)}", f"address:{client}"
    return Attempt(
        client, False, {account: account_wait, place: address_wait}, (account,), (place,)
    )


def account_wait(failures: int) -> float:
    """Return how many seconds an account must wait after so many failures."""
    return _wait(failures, ACCOUNT_FREE, ACCOUNT_MOST_SECONDS)


def address_wait(failures: int) -> float:
    """Return how many seconds a client must wait after so many failures."""
    return _wait(failures, ADDRESS_FREE, ADDRESS_MOST_SECONDS)


def new_device(secret: bytes, username: str) -> str:
    """Return the value of a new device cookie, good for one account."""
    nonce = secrets.token_hex(_NONCE_OCTETS)
    return f"{nonce}.{_signature(secret, username, nonce)}"


def register_settings() -> list[Setting[Any]]:
    """Return whose guesses do not count with strangers'."""
    return [
        Setting(
            TRUSTED_SETTING,
            NetworkList(),
            [],
            "Networks of the administrators, such as 192.0.2.0/24. Who signs in from there does not"
            " wait because strangers elsewhere try passwords for the same account.",
        )
    ]


def _device_name(environ: Mapping[str, Any], username: str, settings: Settings) -> str | None:
    value = cookie_of_request(environ, DEVICE_COOKIE) or ""
    nonce, _, signature = value.partition(".")
    if not signature or len(value) > _MOST_DEVICE_LETTERS or not value.isascii():
        return None
    secret = read_secret(secret_path(settings))
    if secret is None or not hmac.compare_digest(_signature(secret, username, nonce), signature):
        return None
    return f"device:{_digest(nonce)}"


def _is_trusted(address: str, settings: Settings) -> bool:
    client = client_address(address)
    return client is not None and any(client in network for network in settings[TRUSTED_SETTING])


def _has_signed_in(accounts: AccountStore, username: str, client: str, now: float) -> bool:
    return client != UNKNOWN and accounts.knows_client(username, client, now - CLIENT_SECONDS)


def _signature(secret: bytes, username: str, nonce: str) -> str:
    text = f"device {nonce} {_digest(username)}"
    return hmac.new(secret, text.encode("ascii"), hashlib.sha256).hexdigest()


def _digest(*parts: str) -> str:
    octets = (part.encode(errors="surrogatepass") for part in parts)
    return hashlib.sha256(b"\0".join(octets)).hexdigest()


def _wait(failures: int, free: int, most_seconds: float) -> float:
    if failures <= free:
        return 0.0
    return min(2.0 ** min(failures - free - 1, 30), most_seconds)
