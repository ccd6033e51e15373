"""Routes of the web server, their answers, and who calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PUBLIC = "public"
"""The role of a route that everyone may call."""

SIGNED_IN = "signed in"
"""The role of a route that every authenticated caller may call, whatever their roles."""

USER = "User"
ADMINISTRATOR = "Administrator"
"""The roles that accounts and tokens have; an administrator may call every route."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of the web server.

    Attributes
    ----------
    method, path
        `GET` and `/api/v1/things/<name>`, in Bottle's notation.
    handler
        Takes the path's parts and what else it needs as arguments, by name (`appliance.web.calls`
        has the list); returns what JSON knows, or an `Answer`.
    role
        Who may call it; None denies everyone, `PUBLIC` none.
    schema
        OpenAPI's description of the operation, merged over what the route itself tells.
    open_from_loopback
        Callers on this machine need no token.
    open_without_auth
        Open to everyone on a listener that is configured with `needAuth: false`.
    changes
        It changes something although its method is GET.
    only_reads
        It changes nothing although its method is POST.
    error_body
        Returns the JSON of an error from its sentence, where the published API has a form of its
        own for what the handler refuses; None is the form of all others.
    before_password_change
        It answers also a user who must change the password first.
    open_to_bound_users
        It answers a user who is bound to a filter, too: its handler limits what it tells to
        `Principal.filter`, or it tells nothing of flows, exporters and other users. A route that
        does not say so is closed to them.
    whole_list
        Without the query parameter `limit` it answers a list of any length; few are made at a time.
    """

    method: str
    path: str
    handler: Callable[..., object]
    role: str | None = None
    schema: Mapping[str, object] | None = None
    open_from_loopback: bool = False
    open_without_auth: bool = False
    changes: bool = False
    only_reads: bool = False
    error_body: Callable[[str], Mapping[str, object]] | None = None
    whole_list: bool = False
    before_password_change: bool = False
    open_to_bound_users: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when it is not simply JSON with status 200.

    Attributes
    ----------
    body
        Octets go out as they are, and an iterator of octets piece by piece, as fast as the client
        takes them; everything else as JSON. An iterator is closed whatever happens; what it raises
        behind its first piece cuts the answer off, so that nobody takes it for whole.
    cookies
        A header Set-Cookie for each.
    """

    body: object
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a route.

    Attributes
    ----------
    from_cookie
        The browser sent the proof by itself, so what changes something must not come from another
        site.
    account
        Identifier of the user; None when it is not a user who signed in.
    session
        Identifier of the user's session.
    must_change_password
        Only routes with `before_password_change` answer.
    filter
        What every answer is limited to, in the language of filters; None: to nothing. Only routes
        with `open_to_bound_users` answer a caller who has one.
    owner
        Of a program's token: identifier of the user whose it is; None: nobody's.
    """

    name: str
    roles: frozenset[str] = frozenset()
    from_cookie: bool = False
    account: int | None = None
    session: str | None = None
    must_change_password: bool = False
    filter: str | None = None
    owner: int | None = None
