"""The address of an account that sends mail, as `mail.server` has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.settings.raw_values import scalar_text
from appliance.settings.types import UnfitSettingError

EXPECTED = "an address such as mailtos://user:password@mail.example.com?from=netflow@example.com"
_SCHEMES = ("mailto", "mailtos")


@dataclass(frozen=True, slots=True)
class MailAccount:
    """The type of `mail.server`; its value holds a password and is shown to nobody."""

    expected: str = EXPECTED

    def parse(self, raw: object, folder: Path) -> str:
        """Return the address.

        Raises
        ------
        UnfitSettingError
            It has another scheme; the text does not repeat it.
        """
        text = scalar_text(raw).strip()
        if text and text.partition("://")[0].lower() not in _SCHEMES:
            raise UnfitSettingError(f"expected {self.expected}")
        return text

    def mask(self, raw: object) -> object:
        """Return its scheme."""
        return f"{scalar_text(raw).partition('://')[0][:10]}://***" if raw else raw
