"""The provider: its discovery document and keys, codes exchanged, ID tokens checked.

OpenID Connect Core 1.0 and Discovery 1.0. Only what `oidc.issuer` and its own document name is
asked, without following redirections.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from appliance import ApplianceError, Settings
from appliance.plugins.oidc.oidc_settings import is_safe_url
from appliance.plugins.oidc.state import SignInState

TIMEOUT_SECONDS = 10.0
CACHE_SECONDS = 3600.0
REFRESH_SECONDS = 30.0
"""Keys are fetched again for one that is not known, but not more often."""

MAX_OCTETS = 1_000_000
CLOCK_LEEWAY_SECONDS = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderError(ApplianceError):
    """What the provider says of somebody cannot be trusted; the text is for the log."""


class ProviderAway(ProviderError):  # noqa: N818 - it says what is the case
    """The provider does not answer as one does."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


class Provider:
    """One provider; its documents are kept for an hour.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._issuer: str = settings["oidc.issuer"]
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._lock = threading.Lock()
        self._documents: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def authorization_url(self, state: SignInState, redirect_uri: str) -> str:
        """Return where a browser signs in.

        Raises
        ------
        ProviderAway
            It does not answer.
        """
        query = {
            "response_type": "code",
            "client_id": self._settings["oidc.client_id"],
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings["oidc.scopes"]),
            "state": state.state,
            "nonce": state.nonce,
            "code_challenge": state.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._discovery()["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def claims(self, code: str, state: SignInState, redirect_uri: str) -> Mapping[str, Any]:
        """Exchange a code; return what the provider says of the user, its ID token checked.

        Raises
        ------
        ProviderAway
            It does not answer.
        ProviderError
            What it answers cannot be trusted.
        """
        answer = self._tokens(code, state, redirect_uri)
        claims = self._check_claims(str(answer.get("id_token", "")), state.nonce)
        endpoint = self._discovery().get("userinfo_endpoint")
        names = (self._settings["oidc.username_claim"], self._settings["oidc.roles_claim"])
        if endpoint and any(claim_value(claims, name) is None for name in names):
            bearer = {"Authorization": f"Bearer {answer.get('access_token', '')}"}
            more = self._json(_check_url(endpoint), headers=bearer)
            # Core section 5.3.2: else another user's could be put in its place.
            if more.get("sub") != claims["sub"]:
                raise ProviderError("userinfo is another user's")
            claims = {**more, **claims}
        return claims

    def _tokens(self, code: str, state: SignInState, redirect_uri: str) -> Mapping[str, Any]:
        client, secret = self._settings["oidc.client_id"], self._settings["oidc.client_secret"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": state.verifier,
        }
        discovery = self._discovery()
        methods = discovery.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        headers = {}
        if secret and "client_secret_basic" in methods:
            # RFC 6749 section 2.3.1: both are form-encoded first.
            pair = f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        else:
            form |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        body = urlencode(form).encode()
        return self._json(discovery["token_endpoint"], body, headers)

    def _check_claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token, Core section 3.1.3.7."""
        import jwt

        client = self._settings["oidc.client_id"]
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=_ALGORITHMS,
                audience=client,
                issuer=self._issuer,
                leeway=CLOCK_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise ProviderError(f"ID token: {error}") from None
        audience = claims["aud"]
        has_others = isinstance(audience, list) and len(audience) > 1
        if (has_others or "azp" in claims) and claims.get("azp") != client:
            raise ProviderError("ID token: for another client")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise ProviderError("ID token: of another sign-in")
        return claims

    def _key(self, header: Mapping[str, Any]) -> Any:
        for max_age in (CACHE_SECONDS, REFRESH_SECONDS):
            keys = self._keys(max_age)
            for key in keys:
                # One without `kid` is used where it is the only one.
                if key.key_id == header.get("kid") or ("kid" not in header and len(keys) == 1):
                    return key
        raise ProviderError("ID token: signed with a key that is not the provider's")

    def _keys(self, max_age_seconds: float) -> list[Any]:
        import jwt

        document = self._document(self._discovery()["jwks_uri"], max_age_seconds)
        try:
            keys = jwt.PyJWKSet.from_dict(dict(document)).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise ProviderAway(f"keys: {error}") from None
        return [key for key in keys if key.public_key_use in (None, "sig")]

    def _discovery(self) -> Mapping[str, Any]:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        document = self._document(url, CACHE_SECONDS)
        if document.get("issuer") != self._issuer:
            raise ProviderAway(f"issuer is {document.get('issuer')!r}, expected {self._issuer}")
        for name in _ENDPOINTS:
            _check_url(document.get(name))
        return document

    def _document(self, url: str, max_age_seconds: float) -> Mapping[str, Any]:
        with self._lock:
            fetched, document = self._documents.get(url, (-CACHE_SECONDS, {}))
            if document and self._clock() - fetched < max_age_seconds:
                return document
        document = self._json(url)
        with self._lock:
            self._documents[url] = self._clock(), document
        return document

    def _json(
        self, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        accepting = {"Accept": "application/json", **(headers or {})}
        request = urllib.request.Request(url, body, accepting)  # noqa: S310 - all are checked
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
                document = json.loads(reply.read(MAX_OCTETS))
        except urllib.error.HTTPError as error:
            with error:
                # It refuses a code that was used before, or is none, with a 400.
                kind = ProviderError if error.code in (400, 401) else ProviderAway
                raise kind(f"{url}: {error}") from None
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            raise ProviderAway(f"{url}: {error}") from None
        if not isinstance(document, dict):
            raise ProviderAway(f"{url}: no JSON object")
        return document


def claim_value(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim, None when there is none; `a.b` is also `b` in `a`."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _check_url(url: object) -> str:
    try:
        if isinstance(url, str) and is_safe_url(url):
            return url
    except ValueError:
        pass
    raise ProviderAway(f"discovery: {url!r} is no https URL")
