"""What is said of a collector configuration: nfacctd's messages, lines that do nothing, values."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.plugins.pmacct.configuration.config import ConfigLine

SECRETS = ("passwd", "password")


@dataclass(frozen=True, slots=True)
class Message:
    """What nfacctd would say: `severity` is WARN or ERROR; `fatal` when it would not start."""

    severity: str
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


@dataclass(frozen=True, slots=True)
class Inert:
    """A line that changes nothing here, and why."""

    line: ConfigLine
    reason: str


def is_secret(key: str) -> bool:
    """Tell whether a value is never shown."""
    return key.endswith(SECRETS)


def printable_value(key: str, value: str) -> str:
    """Return a value as it may be printed."""
    return "***" if is_secret(key) and value else value
