"""Addresses of mail: of people, and of the account that sends, as `mail.server` has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.settings.raw_values import scalar_text
from appliance.settings.types import UnfitSettingError

EXPECTED = "an address such as mailtos://user:password@mail.example.com?from=netflow@example.com"
_SCHEMES = ("mailto", "mailtos")
_ADDRESS = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@[A-Za-z0-9.-]{1,253}")


def is_mail_address(text: str) -> bool:
    """Tell whether a text is one plain address; comments and quoted parts are not understood."""
    return text.isprintable() and _ADDRESS.fullmatch(text) is not None


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
