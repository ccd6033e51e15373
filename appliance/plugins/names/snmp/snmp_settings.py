"""The settings of SNMP: whom to ask, with which credentials, how often."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from appliance import Duration, Integer, Setting, Settings
from appliance.settings.raw_values import mapping_pairs, scalar_text
from appliance.settings.types import (
    Address,
    Choice,
    Network,
    NetworkList,
    SecretText,
    SettingType,
    Text,
)
from appliance.snmp_users import AUTH_PROTOCOLS, MIN_KEY_LETTERS, PRIVACY_PROTOCOLS

V2C, V3 = "2c", "3"
NOT_ASKED = "off"


@dataclass(frozen=True, slots=True)
class KeyText:
    """A password of SNMP version 3: eight characters at least (RFC 3414 section 11.2)."""

    expected: str = f"{MIN_KEY_LETTERS} characters at least, or nothing"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the password."""
        text = scalar_text(raw)
        if text and len(text) < MIN_KEY_LETTERS:
            raise ValueError(raw)
        return text

    def mask(self, raw: object) -> object:
        """Return stars; nothing where there is nothing to hide."""
        return SecretText().mask(raw)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to prove who asks; each field is the setting of its name below `snmp`.

    `community` is for version 2c, the others but `version` for version 3.
    """

    version: str = V2C
    community: str = ""
    user: str = ""
    auth_protocol: str = "sha"
    auth_key: str = ""
    privacy_protocol: str = "aes"
    privacy_key: str = ""

    @property
    def are_set(self) -> bool:
        """Whether there is something to ask with."""
        return bool(self.user if self.version == V3 else self.community)

    @property
    def problem(self) -> str:
        """What they lack, as a sentence; empty when they are whole."""
        if self.version == V3 and self.privacy_key and not self.auth_key:
            return "snmp.privacy_key needs snmp.auth_key as well"
        if self.version == V2C and self.user and not self.community:
            return "snmp.user is for snmp.version 3, which is not set"
        if self.version == V3 and self.community and not self.user:
            return "snmp.version 3 needs snmp.user"
        return ""


class Agent(NamedTuple):
    """Where an exporter answers SNMP."""

    exporter: str
    address: str
    port: int
    credentials: Credentials


_CREDENTIAL_TYPES: Mapping[str, SettingType[str]] = {
    "version": Choice((V2C, V3)),
    "community": SecretText(),
    "user": Text(),
    "auth_protocol": Choice(tuple(AUTH_PROTOCOLS)),
    "auth_key": KeyText(),
    "privacy_protocol": Choice(tuple(PRIVACY_PROTOCOLS)),
    "privacy_key": KeyText(),
}
SECRETS = ("community", "auth_key", "privacy_key")


@dataclass(frozen=True, slots=True)
class AddressText:
    """A literal address."""

    expected: str = "an address"

    def parse(self, raw: object, folder: Path) -> Address:
        """Return the address."""
        return ipaddress.ip_address(scalar_text(raw))


_PORT = Integer(1, 65_535)
_OTHER_TYPES: Mapping[str, SettingType[Any]] = {"port": _PORT, "address": AddressText()}


AgentValues = Mapping[str, Any] | None
"""What differs for an exporter, by field; None: it is not to be asked."""

AGENT_FIELDS = (*_CREDENTIAL_TYPES, *_OTHER_TYPES)
EXPECTED: Mapping[str, str] = {
    name: kind.expected for name, kind in {**_CREDENTIAL_TYPES, **_OTHER_TYPES}.items()
}


@dataclass(frozen=True, slots=True)
class AgentOverrides:
    """What differs for some exporters: by address or network, other values or `off`."""

    expected: str = (
        "addresses or networks with other values each, such as"
        " {192.0.2.1: {community: other, port: 1161}, 198.51.100.0/24: off}"
    )

    def parse(self, raw: object, folder: Path) -> dict[Network, dict[str, Any] | None]:
        """Return the values by network, in the order of the file; None for those not asked."""
        return {
            ipaddress.ip_network(network): _override(value, folder)
            for network, value in mapping_pairs(raw)
        }

    def mask(self, raw: object) -> object:
        """Return the values with stars in place of secrets; of what does not fit, stars alone."""
        if not isinstance(raw, dict):
            return "***" if raw else raw
        return {network: _masked_override(value) for network, value in raw.items()}


def _override(raw: object, folder: Path) -> dict[str, Any] | None:
    # YAML reads a bare off as a truth value.
    if raw is False or raw in (NOT_ASKED, "false"):
        return None
    return agent_values(raw, folder)


def agent_values(raw: object, folder: Path) -> dict[str, Any]:
    """Return what differs for an exporter, checked.

    Raises
    ------
    ValueError
        A field is not known, or a value does not fit.
    """
    types = {**_CREDENTIAL_TYPES, **_OTHER_TYPES}
    pairs = mapping_pairs(raw)
    if any(name not in types for name, _ in pairs):
        raise ValueError(raw)
    return {name: types[name].parse(value, folder) for name, value in pairs}


def _masked_override(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw if raw is False or raw in (NOT_ASKED, "false") else "***"
    return {name: "***" if name in SECRETS and value else value for name, value in raw.items()}


INTERVAL = Setting(
    "snmp.interval",
    Duration(),
    "5m",
    "How often exporters are asked for names, speeds and counters of their interfaces; every 10s at"
    " most.",
)
EXPORTERS = Setting(
    "snmp.exporters",
    AgentOverrides(),
    {},
    "Exporters that differ, by address or network: any of the snmp settings above, and address"
    " where one answers at another address than it sends flows from. The first that fits counts."
    " off: do not ask.",
)
NETWORKS = Setting(
    "snmp.networks",
    NetworkList(),
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10"],
    "Only exporters in these networks, and those in snmp.exporters, are asked: the community goes"
    " to whoever sends flows from there, and a sender can invent its address.",
)
TIMEOUT = Setting(
    "snmp.timeout",
    Duration(),
    "2s",
    "How long to wait for an answer before asking once more, and once more.",
)
CONCURRENCY = Setting(
    "snmp.concurrency", Integer(1, 256), 20, "How many exporters are asked at the same time."
)
COUNTERS_AGE = Setting(
    "snmp.counters_age",
    Duration(),
    "7d",
    "How long counters of interfaces are kept, also those that exporters send by sFlow; a day of"
    " 1000 interfaces takes about 15 MB.",
)
_HELP = {
    "version": "Version of SNMP: 2c with a community, or 3 with a user.",
    "community": "Community for version 2c. Empty, and no user: exporters are not asked by SNMP.",
    "user": "User for version 3.",
    "auth_protocol": "How messages of version 3 are authenticated.",
    "auth_key": "Password of the user for that. Empty: without authentication.",
    "privacy_protocol": "How messages of version 3 are encrypted; aes192c and aes256c make keys"
    " as Cisco does.",
    "privacy_key": "Password of the user for that. Empty: without encryption.",
}
PORT = Setting("snmp.port", _PORT, 161, "UDP port on which exporters answer SNMP.")
_DEFAULTS = {field.name: field.default for field in fields(Credentials)}
SETTINGS: list[Setting[Any]] = [
    *(Setting(f"snmp.{n}", t, _DEFAULTS[n], _HELP[n]) for n, t in _CREDENTIAL_TYPES.items()),
    *(PORT, NETWORKS, EXPORTERS, INTERVAL, TIMEOUT, CONCURRENCY, COUNTERS_AGE),
]


def common_credentials(settings: Settings) -> Credentials:
    """Return what is set for all exporters."""
    return Credentials(**{name: settings[f"snmp.{name}"] for name in _CREDENTIAL_TYPES})


def is_configured(settings: Settings) -> bool:
    """Tell whether any exporter is to be asked."""
    common = common_credentials(settings)
    others = (_merged(common, values) for values in settings[EXPORTERS.name].values() if values)
    return common.are_set or any(each.are_set for each in others)


def agent_of(
    exporter: str, settings: Settings, own: Mapping[str, AgentValues] = MappingProxyType({})
) -> Agent | None:
    """Return where and how to ask an exporter; None when it is not to be asked.

    Parameters
    ----------
    own
        What administrators set for single exporters; it goes before `snmp.exporters`.
    """
    common, port = common_credentials(settings), settings[PORT.name]
    is_own = exporter in own
    values = own[exporter] if is_own else _override_of(ipaddress.ip_address(exporter), settings)
    if values is None:
        return None
    credentials = _merged(common, values)
    if not credentials.are_set or credentials.problem:
        return None
    address = str(values.get("address", exporter))
    return Agent(exporter, address, values.get("port", port), credentials)


def _override_of(exporter: Address, settings: Settings) -> Mapping[str, Any] | None:
    """Return what differs for an exporter; None when it is not to be asked."""
    for network, values in settings[EXPORTERS.name].items():
        if exporter in network:
            return cast(Mapping[str, Any] | None, values)
    return {} if any(exporter in network for network in settings[NETWORKS.name]) else None


def _merged(common: Credentials, values: Mapping[str, Any]) -> Credentials:
    own = {name: value for name, value in values.items() if name in _CREDENTIAL_TYPES}
    return Credentials(**{name: getattr(common, name) for name in _CREDENTIAL_TYPES} | own)


def credential_problems(settings: Settings) -> list[str]:
    """Return sentences on credentials that cannot be used."""
    common = common_credentials(settings)
    problems = [common.problem] if common.problem else []
    for network, values in settings[EXPORTERS.name].items():
        own = _merged(common, values or {})
        if values and (own.problem or not own.are_set) and own.problem not in problems:
            problems.append(f"snmp.exporters: {network}: {own.problem or 'no credentials are set'}")
    return problems
