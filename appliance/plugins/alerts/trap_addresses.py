"""Receivers of SNMP traps, as addresses in `alerts.send_to` say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from appliance.snmp_users import AUTH_PROTOCOLS, MIN_KEY_LETTERS

TRAP_SCHEMES = ("snmp2c", "snmp3")
TRAP_PORT = 162
PRIVACY_PROTOCOLS = ("des", "aes", "aes192", "aes256")


@dataclass(frozen=True, slots=True)
class TrapReceiver:
    """Whom traps are sent to, and with which community or user."""

    host: str
    port: int
    community: str = ""
    user: str = ""
    auth_protocol: str = "sha256"
    auth_key: str = ""
    privacy_protocol: str = "aes"
    privacy_key: str = ""


def is_trap_address(address: str) -> bool:
    """Tell whether an address is one for traps, not one of apprise."""
    return address.partition("://")[0].lower() in TRAP_SCHEMES


def trap_receivers(addresses: Sequence[str]) -> list[TrapReceiver]:
    """Return the receivers among addresses."""
    return [trap_receiver(address) for address in addresses if is_trap_address(address)]


def trap_receiver(address: str) -> TrapReceiver:
    """Return what an address such as `snmp2c://community@host` says.

    Raises
    ------
    ValueError
        It is not understood; the text holds nothing of it.
    """
    parts = urlsplit(address)
    user, key = unquote(parts.username or ""), unquote(parts.password or "")
    try:
        port = parts.port or TRAP_PORT
    except ValueError:
        raise ValueError("its port is no number up to 65535") from None
    if not parts.hostname or not user:
        raise ValueError("expected snmp2c://community@host or snmp3://user:password@host")
    if parts.scheme == "snmp2c":
        return TrapReceiver(parts.hostname, port, community=user)
    options = dict(parse_qsl(parts.query))
    if strange := set(options) - {"auth", "privacy", "privacy_password"}:
        raise ValueError(
            f"{len(strange)} unknown options, expected auth, privacy, privacy_password"
        )
    receiver = TrapReceiver(
        parts.hostname, port, user=user, auth_key=key,
        auth_protocol=options.get("auth", "sha256"), privacy_protocol=options.get("privacy", "aes"),
        privacy_key=options.get("privacy_password", ""),
    )  # fmt: skip
    _check(receiver)
    return receiver


def _check(receiver: TrapReceiver) -> None:
    if receiver.auth_protocol not in AUTH_PROTOCOLS:
        raise ValueError(f"auth: expected {', '.join(AUTH_PROTOCOLS)}")
    if receiver.privacy_protocol not in PRIVACY_PROTOCOLS:
        raise ValueError(f"privacy: expected {', '.join(PRIVACY_PROTOCOLS)}")
    if receiver.privacy_key and not receiver.auth_key:
        raise ValueError("privacy needs the password of the user as well")
    for key in (receiver.auth_key, receiver.privacy_key):
        if key and len(key) < MIN_KEY_LETTERS:
            raise ValueError(f"a password of SNMP has {MIN_KEY_LETTERS} characters at least")
