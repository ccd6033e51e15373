"""Users, their roles, and the audit trail: routes below `/api/v1/admin` and `appliance user`."""

from __future__ import annotations

import click

from appliance import Route, hookimpl


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance user`."""
    from appliance.plugins.users.commands import user_group

    return [user_group]


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes of users, roles and the audit trail."""
    from appliance.plugins.users import account_filters, audit_trail, roles, users

    return [
        *users.routes(),
        *roles.routes(),
        *account_filters.routes(),
        *audit_trail.routes(),
    ]
