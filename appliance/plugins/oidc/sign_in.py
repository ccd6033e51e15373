"""`GET /auth/oidc` and `GET /auth/oidc/callback`: to the provider, and back with its answer."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import quote

from appliance import PUBLIC, AccountStore, Answer, Principal, RequestError, Route, Settings
from appliance.accounts.secret import read_secret, secret_or_new, secret_path
from appliance.plugins.oidc import PATH
from appliance.plugins.oidc.provider import Provider, ProviderAway, ProviderError
from appliance.plugins.oidc.state import (
    STATE_COOKIE,
    STATE_SECONDS,
    SignInState,
    local_path,
    new_state,
    sign_state,
    state_of_cookie,
)
from appliance.plugins.oidc.users import user_of_claims
from appliance.ratelimit import RateLimited
from appliance.web.audit import AuditEvent
from appliance.web.html_page import PageStyle, html_answer
from appliance.web.openapi import operation
from appliance.web.parameters import Query
from appliance.web.session_tokens import access_cookie, cookie, cookie_of_request, new_session_token

AWAY = "The sign-in provider does not answer as it should: try again, or use a password"
REFUSED = "The sign-in provider's answer is not valid: sign in again"
OTHER_BROWSER = "This sign-in was not begun in this browser, or is over: sign in again"
_TAG = "Authentication"
_STYLE = PageStyle("body{max-width:40em;padding:2em 1em}a{color:var(--accent)}")


class OidcSignIn:
    """Answers both routes of one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

        self._log = RateLimited(logging.getLogger(__name__))

    def begin(
        self, environ: Mapping[str, Any], settings: Settings, query: Query, now: float
    ) -> Answer:
        """Send a browser to the provider; `next` is the path to come back to."""
        state = new_state(local_path(query.text("next") or "/"))
        try:
            url = self._provider.authorization_url(state, _redirect_uri(environ, settings))
        except ProviderError as error:
            return self._failure(error)
        value = sign_state(state, secret_or_new(secret_path(settings)), now)
        # Lax: the provider's page leads back, and Strict cookies are not sent then.
        kept = cookie(STATE_COOKIE, value, environ, STATE_SECONDS, PATH, "Lax")
        return Answer(b"", 302, "text/plain", {"Location": url}, (kept,))

    def end(
        self,
        environ: Mapping[str, Any],
        settings: Settings,
        accounts: AccountStore,
        event: AuditEvent,
        query: Query,
        now: float,
    ) -> Answer:
        """Sign in whom the provider names."""
        event.who = "oidc"
        event.note("sign in")
        try:
            state = _own_state(environ, settings, query)
            redirect_uri = _redirect_uri(environ, settings)
            claims = self._provider.claims(_code(query), state, redirect_uri)
            user = user_of_claims(claims, settings, accounts, now)
        except RequestError as error:
            return _refusal(error)
        except ProviderError as error:
            return self._failure(error)
        event.principal = Principal(user.username, frozenset(user.roles), account=user.id)
        token = new_session_token(environ, user, settings, accounts, now)
        ended = cookie(STATE_COOKIE, "", environ, 0, PATH, "Lax")
        return _onward(state.return_path, (access_cookie(token, environ), ended))

    def _failure(self, error: ProviderError) -> Answer:
        self._log.warning("sign-in by OpenID Connect: %s", str(error))
        is_away = isinstance(error, ProviderAway)
        return _refusal(RequestError(503, AWAY) if is_away else RequestError(403, REFUSED))


def routes(settings: Settings) -> list[Route]:
    """Return both routes."""
    sign_in = OidcSignIn(Provider(settings))
    return [
        Route(
            "GET",
            PATH,
            sign_in.begin,
            role=PUBLIC,
            schema=operation(
                "On to the provider of OpenID Connect", content_type="text/html", tag=_TAG
            ),
        ),
        Route(
            "GET",
            f"{PATH}/callback",
            sign_in.end,
            role=PUBLIC,
            schema=operation(
                "Back from the provider of OpenID Connect", content_type="text/html", tag=_TAG
            ),
            changes=True,
        ),
    ]


def _own_state(environ: Mapping[str, Any], settings: Settings, query: Query) -> SignInState:
    """Return the sign-in that this browser has begun and the provider answers.

    Raises
    ------
    RequestError
        403: there is none, or it is another.
    """
    secret = read_secret(secret_path(settings))
    value = cookie_of_request(environ, STATE_COOKIE)
    state = state_of_cookie(value, secret) if secret and value else None
    answered = (query.text("state") or "").encode(errors="surrogatepass")
    if state is None or not hmac.compare_digest(state.state.encode(), answered):
        raise RequestError(403, OTHER_BROWSER)
    # RFC 9207: another provider's answer is told by its name.
    if query.text("iss") not in (None, settings["oidc.issuer"]):
        raise RequestError(403, REFUSED)
    return state


def _redirect_uri(environ: Mapping[str, Any], settings: Settings) -> str:
    own = settings["oidc.own_url"] or f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"
    return f"{own.rstrip('/')}{PATH}/callback"


def _code(query: Query) -> str:
    """Return the code of the provider.

    Raises
    ------
    RequestError
        403: it has refused the user.
    """
    code = query.text("code")
    if code:
        return code
    text = query.text("error_description") or query.text("error") or "no reason given"
    reason = "".join(letter if letter.isprintable() else "?" for letter in text[:200])
    raise RequestError(403, f"The sign-in provider says no: {reason}")


def _onward(path: str, cookies: tuple[str, ...]) -> Answer:
    """Answer with a page that goes on by itself.

    After a redirection browsers would not send the new cookie, which is Strict: the provider's
    page began that navigation. This page begins one of our own.
    """
    # Quoted, as what stands in a refresh ends at some signs that paths may have.
    target = quote(path, safe="/?&=%+:@!$,~-._")
    link = f'<p>Signed in. <a href="{escape(target)}">Go on</a></p>'
    answer = html_answer("Signed in", _STYLE, link, Refresh=f"0; url={target}")
    return replace(answer, cookies=cookies)


def _refusal(error: RequestError) -> Answer:
    body = f'<h1>Not signed in</h1><p>{escape(error.message)}.</p><p><a href="/">Back</a></p>'
    return replace(html_answer("Not signed in", _STYLE, body), status=error.status)
