"""The settings of the plugin `oidc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance import Setting
from appliance.settings.types import SecretText, Text, TextList

_HERE = ("localhost", "127.0.0.1", "::1")


def is_safe_url(url: str) -> bool:
    """Tell whether nobody on the way can read or change what is asked of a URL."""
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and parts.hostname in _HERE
    return bool(parts.hostname) and (parts.scheme == "https" or is_local)


@dataclass(frozen=True, slots=True)
class ProviderUrl:
    """An https URL; http is enough for a server on this machine."""

    expected: str = "an https URL without query, or nothing"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the URL as it was written, as issuers are compared letter by letter."""
        url = Text().parse(raw, folder)
        if url and (not is_safe_url(url) or "?" in url or "#" in url):
            raise ValueError(raw)
        return url


@dataclass(frozen=True, slots=True)
class RoleMap:
    """Pairs of a claim's value and a role."""

    expected: str = "a list such as [netadmins=Administrator, '*=User']"

    def parse(self, raw: object, folder: Path) -> tuple[tuple[str, str], ...]:
        """Return value and role of each pair."""
        pairs = tuple(text.rpartition("=") for text in TextList().parse(raw, folder))
        if not all(value and role for value, _, role in pairs):
            raise ValueError(raw)
        return tuple((value, role) for value, _, role in pairs)


OIDC_SETTINGS: list[Setting[Any]] = [
    Setting(
        "oidc.issuer",
        ProviderUrl(),
        "",
        "The provider of OpenID Connect through which users may sign in, such as"
        " https://login.example/realms/company. Nothing: none.",
    ),
    Setting("oidc.client_id", Text(), "", "What the provider calls this appliance."),
    Setting(
        "oidc.client_secret",
        SecretText(),
        "",
        "The secret that the provider gave for it. Nothing: it is a public client.",
    ),
    Setting(
        "oidc.own_url",
        ProviderUrl(),
        "",
        "The address of this appliance as browsers see it, such as https://flows.example; the"
        " provider is to allow /auth/oidc/callback below it. Nothing: as each request says.",
    ),
    Setting(
        "oidc.scopes", TextList(), ["openid", "profile"], "What the provider is asked to tell."
    ),
    Setting(
        "oidc.username_claim",
        Text(),
        "preferred_username",
        "The claim with the user's name. What follows an @, and all but letters and digits, is left"
        " out of it.",
    ),
    Setting(
        "oidc.roles_claim",
        Text(),
        "groups",
        "The claim with the user's groups; a.b is b in a, such as realm_access.roles.",
    ),
    Setting(
        "oidc.roles",
        RoleMap(),
        [],
        "Which value of that claim gives which role, such as netadmins=Administrator; '*=User' is"
        " for everybody whom the provider signs in. Who gets no role is refused.",
    ),
    Setting("oidc.title", Text(), "Single sign-on", "What the button of the sign-in says."),
]
