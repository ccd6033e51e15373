"""Pages that plugins add to the console."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.routes import SIGNED_IN


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the console.

    Attributes
    ----------
    title
        What its link says.
    path
        Its place below `/console/`: small letters, digits and hyphens.
    script
        JavaScript: an ES module whose default export is a component; it imports what the console
        shares from `"console"`.
    role
        Who sees its link: `SIGNED_IN`, `USER` or `ADMINISTRATOR`. What it shows comes from routes,
        which have roles of their own.
    open_to_bound_users
        Users who are bound to a filter see its link, too: the routes that it asks answer them.
    order
        Place among the links; the console's own have 10, 20, ... 110.
    """

    title: str
    path: str
    script: str
    role: str = SIGNED_IN
    order: int = 120
    open_to_bound_users: bool = False
