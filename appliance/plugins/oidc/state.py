"""What a browser keeps while it is at the provider: a signed cookie of ten minutes.

It binds the provider's answer to the browser that asked (state), to this sign-in (nonce) and to
whoever has the verifier (PKCE, RFC 7636).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import asdict, dataclass

STATE_COOKIE = "oidc_state"
STATE_SECONDS = 600
_ALGORITHM = "HS256"
_ISSUER = "netflow-appliance oidc"
"""Another than that of tokens: a state is none."""

_RANDOM_OCTETS = 32
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1000}")


@dataclass(frozen=True, slots=True)
class SignInState:
    """One sign-in on its way.

    Attributes
    ----------
    return_path
        Where to go on afterwards, on this server.
    """

    state: str
    nonce: str
    verifier: str
    return_path: str

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier, RFC 7636 section 4.2."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new_state(return_path: str) -> SignInState:
    """Begin a sign-in."""
    state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_OCTETS) for _ in range(3))
    return SignInState(state, nonce, verifier, return_path)


def local_path(text: str) -> str:
    """Return a path of this server, `/` for everything else.

    Browsers read `//host` and `/\\host` as another server, and leave tabs and line ends out.
    """
    return text if _LOCAL_PATH.fullmatch(text) else "/"


def sign_state(state: SignInState, secret: bytes, now: float) -> str:
    """Return the value of the cookie."""
    import jwt

    claims = {**asdict(state), "iss": _ISSUER, "exp": int(now + STATE_SECONDS)}
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def state_of_cookie(value: str, secret: bytes) -> SignInState | None:
    """Return the sign-in that a cookie is about; None when it is not ours or is over."""
    import jwt

    names = list(SignInState.__dataclass_fields__)
    try:
        claims = jwt.decode(
            value,
            secret,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            options={"require": ["exp", *names]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return SignInState(*(str(claims[name]) for name in names))
