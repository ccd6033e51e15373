"""Who may call a route: closed unless the route says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from appliance.contracts import ADMINISTRATOR, PUBLIC, SIGNED_IN, Principal, Route
from appliance.errors import RequestError
from appliance.web.clients import client_address
from appliance.web.errors import (
    BOUND,
    CLOSED_TO_BOUND,
    MUST_CHANGE,
    NO_TOKEN,
    NOT_ADMINISTRATOR,
)

NEED_AUTH = "appliance.need_auth"
"""Key of the WSGI environment, set by the listener: False where `needAuth` is."""

GET_WITH_COOKIE = (
    "A GET that changes something needs the token in the header x-apiauth: the cookie alone does"
    " not say whose page asks"
)

PrincipalFrom = Callable[[Mapping[str, Any]], Principal | None]
_BY_PROXY = re.compile(
    "HTTP_(VIA|CDN_LOOP|FORWARDED|X_FORWARDED.*|X_REAL_.*|X_ORIGINAL_.*|X_PROXYUSER_.*"
    "|X_ENVOY_EXTERNAL_ADDRESS|(.*_)?(CLIENT|CONNECTING)_?IP(V6)?)"
)
"""Keys of headers that proxies and content networks add; each has names of its own."""

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]@]+))(?::[0-9]*)?")


def admit(
    route: Route, environ: Mapping[str, Any], principal_from: PrincipalFrom
) -> Principal | None:
    """Let a request pass, or not.

    Returns
    -------
    Principal or None
        Who makes the request; None where the route does not ask.

    Raises
    ------
    RequestError
        401: nobody is signed in; 403: the caller's roles do not suffice, or the caller is bound to
        a filter and the route is not open to such, or a cookie came from another site or is all
        that a changing GET has, or the password must be changed first; 405: HEAD would change
        something.
    """
    if route.changes and environ.get("REQUEST_METHOD") == "HEAD":
        raise RequestError(405, "Method not allowed")
    if route.role == PUBLIC or (route.role and _is_opened(route, environ)):
        return None
    if not route.role:
        raise RequestError(403, "Nobody may call this")
    principal = principal_from(environ)
    if principal is None:
        raise RequestError(401, NO_TOKEN)
    if principal.must_change_password and not route.before_password_change:
        message = "Change your password first: PUT /api/v1/account/password"
        raise RequestError(403, message, code=MUST_CHANGE)
    if route.role != SIGNED_IN and not principal.roles & {route.role, ADMINISTRATOR}:
        administrative = route.role == ADMINISTRATOR
        message = NOT_ADMINISTRATOR if administrative else f"The role {route.role} is required"
        raise RequestError(403, message)
    if principal.filter is not None and not route.open_to_bound_users:
        raise RequestError(403, CLOSED_TO_BOUND, code=BOUND)
    if principal.from_cookie and changes_something(route):
        refuse_cross_site(environ)
        if route.method == "GET" and not _tells_site(environ):
            # An image or a link of another site makes a GET, and older browsers say nothing of it.
            raise RequestError(403, GET_WITH_COOKIE)
    return principal


def refuse_cross_site(environ: Mapping[str, Any]) -> None:
    """Raise a 403 when a browser says that another site's page makes the request."""
    if is_cross_site(environ):
        raise RequestError(403, "The request comes from another site")


def is_cross_site(environ: Mapping[str, Any]) -> bool:
    """Tell whether a browser says that another site's page makes the request."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    return str(origin) != f"{environ.get('wsgi.url_scheme')}://{environ.get('HTTP_HOST')}"


def is_from_loopback(environ: Mapping[str, Any]) -> bool:
    """Tell whether a program on this machine asks, for itself.

    A request that went through a proxy is not local, and neither is one whose `Host` is a name: a
    page could have made a browser here look it up as 127.0.0.1.
    """
    if any(_BY_PROXY.fullmatch(name) for name in environ):
        return False
    host = _HOST.fullmatch(str(environ.get("HTTP_HOST", "localhost")))
    if host is None or not _is_loopback(str(environ.get("REMOTE_ADDR", ""))):
        return False
    if host["v6"]:
        return ":" in host["v6"] and _is_loopback(host["v6"])
    return host["name"] == "localhost" or _is_loopback(host["name"])


def _tells_site(environ: Mapping[str, Any]) -> bool:
    return "HTTP_SEC_FETCH_SITE" in environ or "HTTP_ORIGIN" in environ


def _is_opened(route: Route, environ: Mapping[str, Any]) -> bool:
    return (route.open_without_auth and environ.get(NEED_AUTH, True) is False) or (
        route.open_from_loopback and is_from_loopback(environ)
    )


def changes_something(route: Route) -> bool:
    """Tell whether a call of a route changes something."""
    if route.only_reads:
        return False
    return route.changes or route.method not in ("GET", "HEAD", "OPTIONS")


def _is_loopback(text: str) -> bool:
    address = client_address(text)
    return address is not None and address.is_loopback
