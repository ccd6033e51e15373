"""The settings of replication: who gets copies, of whose datagrams, and from which address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from appliance.settings.file import Setting
from appliance.settings.target_lists import parse_targets, target_values
from appliance.settings.types import (
    Boolean,
    Integer,
    ListenAddress,
    Network,
    NetworkList,
    Size,
    UnfitSettingError,
    parse_listen_address,
)

KEYS = ("to", "exporters", "sample")
MAX_TARGETS = 16
MAX_SAMPLE = 1_000_000
SMALLEST_QUEUE = 1_000_000


class Target(NamedTuple):
    """A collector that gets copies.

    Attributes
    ----------
    exporters
        Networks of those whose datagrams it gets; empty: of all.
    sample
        Of so many datagrams it gets one.
    """

    to: ListenAddress
    exporters: tuple[Network, ...] = ()
    sample: int = 1


@dataclass(frozen=True, slots=True)
class TargetList:
    """Collectors: an address with port, or a mapping that says more."""

    expected: str = (
        "a list of addresses such as 192.0.2.9:2055, or of"
        ' {to: "192.0.2.9:2055", exporters: [10.0.0.0/8], sample: 10}'
    )

    def parse(self, raw: object, folder: Path) -> tuple[Target, ...]:
        """Return the targets.

        Raises
        ------
        UnfitSettingError
            One is wrong, is there twice, or there are too many.
        """
        return parse_targets(raw, MAX_TARGETS, lambda item: _target(item, folder))


def _target(item: object, folder: Path) -> Target:
    where, values = target_values(item, KEYS, 99)
    try:
        to = parse_listen_address(where)
    except ValueError:
        to = ListenAddress("", 0)
    if not to.port:
        raise UnfitSettingError(
            f"expected an address with a port such as 192.0.2.9:2055 or [2001:db8::9]:2055, "
            f"found {where!r}"
        )
    exporters, sample = NetworkList(), Integer(1, MAX_SAMPLE)
    return Target(
        to,
        _value(exporters, values.get("exporters", []), f"{where}: exporters", folder),
        _value(sample, values.get("sample", 1), f"{where}: sample", folder),
    )


def _value(kind: Any, raw: object, where: str, folder: Path) -> Any:
    try:
        return kind.parse(raw, folder)
    except ValueError:
        raise UnfitSettingError(f"{where}: expected {kind.expected}, found {raw!r}") from None


@dataclass(frozen=True, slots=True)
class QueueSize:
    """A size that holds at least the largest block of small datagrams."""

    expected: str = f"a size of at least {SMALLEST_QUEUE // 1_000_000}MB"

    def parse(self, raw: object, folder: Path) -> int:
        """Return octets."""
        octets = Size().parse(raw, folder)
        if octets < SMALLEST_QUEUE:
            raise ValueError(raw)
        return octets


TARGETS = Setting(
    "replicate.targets",
    TargetList(),
    [],
    "Other collectors that get a copy of each datagram, by address and port: [192.0.2.9:2055]. One"
    ' can say more: {to: "192.0.2.9:2055", exporters: [10.0.0.0/8], sample: 10} gets one of ten'
    " datagrams of exporters in these networks, and all that begin with a template. Empty: nobody.",
)
KEEP_SOURCE = Setting(
    "replicate.keep_source",
    Boolean(),
    True,
    "Whether copies come from the exporter's address and port. It needs CAP_NET_RAW; without it"
    " they come from this machine, which `appliance check` says. Networks that check sources (uRPF)"
    " may drop such copies: then set it to false.",
)
QUEUE = Setting(
    "replicate.queue",
    QueueSize(),
    "32MB",
    "Memory for datagrams that wait to be sent, for each target. What does not fit is dropped for"
    " that target and counted; receiving never waits.",
)
SETTINGS: list[Setting[Any]] = [TARGETS, KEEP_SOURCE, QUEUE]
