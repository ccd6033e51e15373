"""What the accounts keep of sign-ins: second factors and sessions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totp:
    """The second factor of a user: time-based one-time passwords, RFC 6238.

    Attributes
    ----------
    secret
        In base 32; known to the user's device too.
    is_on
        It was confirmed with a code, so that a sign-in needs one.
    recovery_codes
        How many are left of the codes that are good once each without the device.
    """

    secret: str
    is_on: bool
    recovery_codes: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in of a user; its tokens are void once it has ended.

    Attributes
    ----------
    id
        Random, and no secret: a token is signed.
    used
        The last request, to the minute.
    expires
        When its newest token does.
    address, user_agent
        Who signed in, as the first request said.
    """

    id: str
    account: int
    created: float
    used: float
    expires: float
    address: str
    user_agent: str
