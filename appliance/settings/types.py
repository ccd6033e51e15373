"""Settings, and the types that they can have: text of the configuration file in, checked value out.

A type is a small frozen object with `expected` (for messages), `parse` and `sample`. Scalars reach
`parse` as `str`, exactly as written in the file, so no YAML guesswork (`yes`, `1:30`) takes part.
Which settings exist is told by `appliance.settings`.
"""

from __future__ import annotations

import ipaddress
import math
import os
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from appliance.information_elements import element_by_name
from appliance.settings.raw_values import (
    list_items,
    mapping_pairs,
    parse_duration,
    parse_size,
    sample,
    scalar_text,
    within,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
ElementKey = tuple[int, int]
T_co = TypeVar("T_co", covariant=True)


class UnfitSettingError(ValueError):
    """A value does not fit for a reason of its own, which is the text: shown as it is."""


class SettingType(Protocol[T_co]):
    """What a setting's value may be.

    `expected` completes the sentence "expected ...". `parse` gets a `str`, `list` or `dict` of
    the file and the folder that relative paths start from; it raises `ValueError` (text unused)
    when the value does not fit, or `UnfitSettingError` where "expected ..." does not tell why.
    """

    @property
    def expected(self) -> str:
        """What is allowed, for messages and the sample configuration."""
        ...

    def parse(self, raw: object, folder: Path) -> T_co:
        """Return the checked value."""
        ...


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One thing that can be configured.

    Attributes
    ----------
    name
        Dotted, `group.name`; the file nests by the dots.
    type
        What it may be; one of this module or a plugin's own.
    default
        As it would be written in the file (`"64MB"`), not as it is parsed.
    help
        What it does and when to change it: whole sentences, for the sample configuration.
    """

    name: str
    type: SettingType[T_co]
    default: object
    help: str


@runtime_checkable
class HasSecret(Protocol):
    """A setting type whose values hold a secret; a type without this method has none."""

    def mask(self, raw: object) -> object:
        """Return a raw value, fit or not, that may be shown: the secret replaced by `***`."""
        ...


def sample_setting(setting_type: SettingType[Any], raw: object) -> str:
    """Write a raw value of a setting for people, without its secret."""
    return sample(setting_type.mask(raw) if isinstance(setting_type, HasSecret) else raw)


class ListenAddress(NamedTuple):
    """Where a server listens: an IPv4 or IPv6 address without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within limits."""

    low: int = 0
    high: int | None = None

    @property
    def expected(self) -> str:
        """What is allowed."""
        return f"a whole number {_limits(self.low, self.high)}"

    def parse(self, raw: object, folder: Path) -> int:
        """Return the number."""
        return within(int(scalar_text(raw)), self.low, self.high)


@dataclass(frozen=True, slots=True)
class Number:
    """A number within limits."""

    low: float = 0
    high: float | None = None

    @property
    def expected(self) -> str:
        """What is allowed."""
        return f"a number {_limits(self.low, self.high)}"

    def parse(self, raw: object, folder: Path) -> float:
        """Return the number; `nan` and `inf` are refused."""
        value = float(scalar_text(raw))
        if not math.isfinite(value):
            raise ValueError(raw)
        return within(value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false."""

    expected: str = "true or false"

    def parse(self, raw: object, folder: Path) -> bool:
        """Return the truth value."""
        word = scalar_text(raw).lower()
        if word not in ("true", "false"):
            raise ValueError(raw)
        return word == "true"


@dataclass(frozen=True, slots=True)
class Text:
    """Any one line of text."""

    expected: str = "text"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the text."""
        return scalar_text(raw)


@dataclass(frozen=True, slots=True)
class SecretText:
    """One line of text that is shown to nobody."""

    expected: str = "text"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the text."""
        return Text().parse(raw, folder)

    def mask(self, raw: object) -> object:
        """Return stars; nothing where there is nothing to hide."""
        return "***" if raw else raw


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is allowed."""
        return "one of " + ", ".join(self.words)

    def parse(self, raw: object, folder: Path) -> str:
        """Return the word."""
        # YAML reads a bare on or off as a truth value.
        words = {True: ("on", "yes"), False: ("off", "no")}[raw] if isinstance(raw, bool) else ()
        word = next((word for word in words if word in self.words), scalar_text(raw))
        if word not in self.words:
            raise ValueError(raw)
        return word


@dataclass(frozen=True, slots=True)
class FilePath:
    """A file or folder; a relative path starts at the folder of the configuration file."""

    expected: str = "a path"

    def parse(self, raw: object, folder: Path) -> Path:
        """Return the path, absolute."""
        if not scalar_text(raw):
            raise ValueError(raw)
        try:
            path = Path(scalar_text(raw)).expanduser()
        except RuntimeError as error:  # the home of a user that this machine does not have
            raise ValueError(raw) from error
        return Path(os.path.abspath(folder / path))


@dataclass(frozen=True, slots=True)
class OptionalFilePath:
    """A path as `FilePath` has it, or empty for none."""

    expected: str = "a path, or empty"

    def parse(self, raw: object, folder: Path) -> Path | None:
        """Return the path, absolute, or None."""
        return FilePath().parse(raw, folder) if scalar_text(raw) else None


@dataclass(frozen=True, slots=True)
class TextList:
    """A list of names."""

    expected: str = "a list of names"

    def parse(self, raw: object, folder: Path) -> tuple[str, ...]:
        """Return the names in the order of the file."""
        return tuple(scalar_text(item) for item in list_items(raw))


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, in seconds."""

    expected: str = "a duration such as 60s, 15m, 48h or 30d"

    def parse(self, raw: object, folder: Path) -> float:
        """Return seconds; a number without unit is seconds already."""
        return parse_duration(scalar_text(raw))


@dataclass(frozen=True, slots=True)
class Size:
    """A number of octets."""

    expected: str = "a size such as 512MB or 10GB, or a number of octets"

    def parse(self, raw: object, folder: Path) -> int:
        """Return octets."""
        return parse_size(scalar_text(raw))


@dataclass(frozen=True, slots=True)
class AddressList:
    """Addresses with ports, to listen on."""

    expected: str = "a list of addresses such as 0.0.0.0:2055 or [::]:4739"

    def parse(self, raw: object, folder: Path) -> tuple[ListenAddress, ...]:
        """Return the addresses, at least one, no two equal."""
        listen = tuple(parse_listen_address(scalar_text(item)) for item in list_items(raw))
        if not listen or len(set(listen)) < len(listen):
            raise ValueError(raw)
        return listen


@dataclass(frozen=True, slots=True)
class OptionalAddressList:
    """Addresses with ports, or none."""

    expected: str = "a list of addresses such as 0.0.0.0:4739 or [::]:4740, or []"

    def parse(self, raw: object, folder: Path) -> tuple[ListenAddress, ...]:
        """Return the addresses, no two equal."""
        return AddressList().parse(raw, folder) if list_items(raw) else ()


@dataclass(frozen=True, slots=True)
class NetworkList:
    """Addresses and networks."""

    expected: str = "a list of addresses or networks such as 192.0.2.1 or 10.0.0.0/8"

    def parse(self, raw: object, folder: Path) -> tuple[Network, ...]:
        """Return networks; a single address is a network of one."""
        return tuple(ipaddress.ip_network(scalar_text(item)) for item in list_items(raw))


@dataclass(frozen=True, slots=True)
class NetworkRates:
    """A number, one or more, for each of some networks."""

    expected: str = "addresses or networks with a rate each, such as {192.0.2.0/24: 1000}"

    def parse(self, raw: object, folder: Path) -> dict[Network, float]:
        """Return the rate by network, in the order of the file."""
        rate = Number(1)
        return {ipaddress.ip_network(n): rate.parse(v, folder) for n, v in mapping_pairs(raw)}


@dataclass(frozen=True, slots=True)
class ElementNames:
    """Information elements that stand for others, by exporter."""

    expected: str = (
        'exporter addresses with elements each, such as {192.0.2.1: {"17163:17": octetDeltaCount}}'
    )

    def parse(self, raw: object, folder: Path) -> dict[Address, dict[ElementKey, ElementKey]]:
        """Return, by exporter, which (enterprise, id) means which other one."""
        return {
            ipaddress.ip_address(exporter): {
                parse_element(sent): parse_element(scalar_text(meant))
                for sent, meant in mapping_pairs(names)
            }
            for exporter, names in mapping_pairs(raw)
        }


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A time zone of the machine's zone database."""

    expected: str = "a time zone such as Europe/Vienna or UTC, or empty (needs Debian's tzdata)"

    def parse(self, raw: object, folder: Path) -> zoneinfo.ZoneInfo | None:
        """Return the zone; None for the machine's own."""
        name = scalar_text(raw)
        try:
            return zoneinfo.ZoneInfo(name) if name else None
        except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(raw) from error


def parse_listen_address(text: str) -> ListenAddress:
    """Split `0.0.0.0:2055` or `[::]:4739` into address and port.

    Raises
    ------
    ValueError
        There is no port from 0 to 65535 (0: any free one), or no literal address before it.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    if not colon or bracketed != (address.version == 6) or not port.isdecimal():
        raise ValueError(text)
    return ListenAddress(str(address), within(int(port), 0, 65535))


def parse_element(text: str) -> ElementKey:
    """Return (enterprise, id) of `octetDeltaCount`, `1` or `9:12235` (enterprise first).

    Raises
    ------
    ValueError
        The registry has no such name, or a number is out of range.
    """
    enterprise, _, element = text.rpartition(":")
    if element.isdecimal() and (not enterprise or enterprise.isdecimal()):
        return int(enterprise or 0), within(int(element), 1, 65535)
    found = element_by_name(text)
    if found is None:
        raise ValueError(text)
    return found.enterprise, found.id


def _limits(low: float, high: float | None) -> str:
    return f"from {low} to {high}" if high is not None else f"of at least {low}"
