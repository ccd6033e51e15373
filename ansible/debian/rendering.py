"""Renders the roles' templates for a package: the same units as Ansible writes, from one source.

Ansible is not needed for it; the few filters and tests that the templates use are here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

ANSIBLE = Path(__file__).parents[1]
ROLES = ANSIBLE / "roles"
PACKAGED: Mapping[str, Any] = {
    "ansible_managed": "Of the package netflow-appliance; an upgrade writes it anew.",
    # The package brings no database server.
    "database_engine": "sqlite",
    # No proxy stands before the API, and its resolvers are not known when the package is built.
    "appliance_api_reaches": ["any"],
}
"""What differs from a box that Ansible made."""


def variables() -> dict[str, Any]:
    """Return the defaults and variables of all roles, and what a package changes of them."""
    values: dict[str, Any] = {}
    for file in sorted(ROLES.glob("*/defaults/main.yml")) + sorted(ROLES.glob("*/vars/main.yml")):
        values |= yaml.safe_load(file.read_text())
    play = yaml.safe_load((ANSIBLE / "uninstall.yml").read_text())[0]["vars"]
    return values | play | PACKAGED


def render(text: str, values: Mapping[str, Any]) -> str:
    """Render a template as Ansible does.

    Raises
    ------
    jinja2.UndefinedError
        It names a variable that the roles do not have.
    """
    environment = Environment(  # noqa: S701 - shell and units, not HTML
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    # Values of variables are templates themselves.
    environment.finalize = lambda value: (
        render(value, values) if isinstance(value, str) and "{{" in value else value
    )
    environment.filters |= {"basename": lambda path: Path(path).name, "quote": shlex.quote}
    environment.tests["search"] = lambda value, pattern: re.search(pattern, value) is not None
    return environment.from_string(text).render(values)


def role_file(role: str, name: str, values: Mapping[str, Any]) -> str:
    """Render the template that makes this file in a role."""
    return render((ROLES / role / "templates" / f"{name}.j2").read_text(), values)
