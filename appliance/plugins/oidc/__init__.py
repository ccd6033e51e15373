"""Sign-in through a provider of OpenID Connect: off until `oidc.issuer` names one.

`provider` talks to it and checks what it says, `state` keeps what a browser must bring back,
`users` makes users of claims, `sign_in` has the two routes.
"""

from __future__ import annotations

from typing import Any

from appliance import Route, Setting, Settings, SignInWay, hookimpl

NAME, PATH = "oidc", "/auth/oidc"


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add the provider, and who of its users gets which role."""
    from appliance.plugins.oidc.oidc_settings import OIDC_SETTINGS

    return OIDC_SETTINGS


@hookimpl
def register_routes(settings: Settings) -> list[Route]:
    """Return `/auth/oidc` and where the provider sends browsers back to."""
    from appliance.plugins.oidc import sign_in

    return sign_in.routes(settings) if settings["oidc.issuer"] else []


@hookimpl
def register_sign_in_ways(settings: Settings) -> list[SignInWay]:
    """Return the button that leads to the provider."""
    return [SignInWay(NAME, settings["oidc.title"], PATH)] if settings["oidc.issuer"] else []
