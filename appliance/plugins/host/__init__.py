"""The machine itself: its figures, its network, restart and shutdown.

What needs root is done by a helper (`appliance.privileged`), never here. A request that reaches
this machine while a change of the network waits also confirms that change.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import Boolean, Check, Integer, Route, Setting, Settings, hookimpl
from appliance.plugins.host.machine import Machine
from appliance.plugins.host.network import interface_findings, own_addresses
from appliance.privileged.addressing import checked_interface
from appliance.privileged.client import HelperRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """The name of a network interface, or nothing."""

    expected: str = "the name of an interface such as eth0, or empty"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the name."""
        text = str(raw)
        return checked_interface(text) if text else ""


INTERFACE = Setting(
    "host.interface",
    InterfaceName(),
    "",
    "The network interface that the API shows and changes. Empty is the one with the default"
    " route.",
)
MANAGE = Setting(
    "host.manage",
    Boolean(),
    False,
    "Whether the API may change the network, restart and switch off this machine although it was"
    " not set up as an appliance; it then has to run as root.",
)
ROLLBACK_SECONDS = Setting(
    "host.network_rollback_seconds",
    Integer(5, 3600),
    180,
    "How long a changed network waits for its gateway, or for an authenticated request from another"
    " machine, before the old settings come back.",
)


def machine_of(settings: Settings) -> Machine:
    """Return who carries out what needs root, as configured."""
    return Machine(settings[MANAGE])


def confirm_if_reached(machine: Machine, environ: Mapping[str, Any]) -> None:
    """Confirm the change that waits, unless the request comes from this machine itself."""
    if not machine.change_waits() or _is_from_here(environ):
        return
    try:
        machine.ask("network_confirm")
    except HelperRefused as error:
        log.warning("the change of the network cannot be confirmed: %s", error)


def _is_from_here(environ: Mapping[str, Any]) -> bool:
    """Tell whether a program on this machine asks; a proxy here asks for somebody else."""
    proxied = any(name in environ for name in ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR"))
    return not proxied and str(environ.get("REMOTE_ADDR", "")) in own_addresses()


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings `host.*`."""
    return [INTERFACE, MANAGE, ROLLBACK_SECONDS]


@hookimpl
def register_routes(settings: Settings) -> list[Route]:
    """Return the routes below `/api/v1/admin/device`."""
    from appliance.plugins.host.route_table import routes_of
    from appliance.plugins.host.routes import HostRoutes

    machine = machine_of(settings)
    return routes_of(HostRoutes(machine, settings[INTERFACE], settings[ROLLBACK_SECONDS]))


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Look for the interface that the API shows and changes."""
    return [lambda: interface_findings(settings[INTERFACE])]


@hookimpl
def request_authenticated(environ: Mapping[str, Any], settings: Settings) -> None:
    """Confirm a change of the network when somebody reaches this machine."""
    confirm_if_reached(machine_of(settings), environ)
