"""The option of `run` and `serve` that lets other machines reach the API and the console."""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from pathlib import Path

import click

from appliance.app import App
from appliance.settings.types import ListenAddress

WEB_HOST_VARIABLE = "APPLIANCE_WEB_HOST"
"""How `run` tells it to its child."""

_OPTION = "--web-host"


def _address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if not value:
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        problem = f"expected an address of this machine, or 0.0.0.0 for all, found {value!r}"
        raise click.BadParameter(problem) from None


web_host_option = click.option(
    _OPTION,
    metavar="ADDRESS",
    envvar=WEB_HOST_VARIABLE,
    callback=_address,
    help="Answer the API and the console there, on the ports of web.listen; 0.0.0.0 is every"
    " address.",
)


def with_web_host(app: App, host: str | None) -> App:
    """Return the App with the addresses of `web.listen` replaced; UNIX sockets stay."""
    if host is None:
        return app
    listen = [
        ListenAddress(host, at.port) if isinstance(at, ListenAddress) else at
        for at in app.settings["web.listen"]
    ]
    written = list(dict.fromkeys(map(str, listen)))
    settings = app.settings.with_overrides(Path(_OPTION), {"web.listen": written})
    return dataclasses.replace(app, settings=settings)


def web_host_warning(host: str | None) -> list[str]:
    """Say who reaches the console then."""
    if host is None or ipaddress.ip_address(host).is_loopback:
        return []
    name = socket.gethostname() if ipaddress.ip_address(host).is_unspecified else host
    return [
        f"  WARNING     whoever reaches {name} over the network reaches the API and the console;"
        " only passwords stand between"
    ]
