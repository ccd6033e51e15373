"""Ways to sign in beside a password."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignInWay:
    """A way to sign in that begins by following a link.

    Attributes
    ----------
    name
        Its key in `GET /api/v1/account/ways`: small letters.
    title
        What the button says.
    url
        A path of this server.
    """

    name: str
    title: str
    url: str
