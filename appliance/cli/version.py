"""`appliance --version`, with `--verbose` what a report of a fault needs: libraries, plugins.

No library is imported for its version: the installed distributions declare them. Every command
comes by here, so that modules which only these two options need are imported where they are used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from appliance import __version__
from appliance.errors import ApplianceError

DISTRIBUTION = "netflow-appliance"
PACKAGE_MARK = ".package"
"""File in the environment of the Debian package; it holds the package's name and version."""

IMAGE_MARK = ".image"
"""File in the environment of the container image; it holds the image's name and version."""

BUNDLE_MARK = ".bundle"
"""File in an environment that Ansible made; it holds the SHA-256 of the bundle."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def version_option() -> click.Option:
    """Return `--version`, which ends the command line; `verbose_option` must stand beside it."""
    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version and exit.",
    )


def verbose_option() -> click.Option:
    """Return `--verbose`; eager, so that it is known when `--version` is looked at."""
    return click.Option(
        ["--verbose"],
        is_flag=True,
        is_eager=True,
        help="With --version: also Python, libraries, plugins, and how all this was installed.",
    )


def installation(prefix: Path) -> str:
    """Say how the program in this environment was installed, and where it is.

    Parameters
    ----------
    prefix
        The environment's folder (`sys.prefix`).
    """
    if (mark := prefix / PACKAGE_MARK).is_file():
        return f"Debian package {mark.read_text().strip()}, {prefix}"
    if (mark := prefix / IMAGE_MARK).is_file():
        return f"container image {mark.read_text().strip()}, {prefix}"
    if (mark := prefix / BUNDLE_MARK).is_file():
        return f"bundle of Ansible with SHA-256 {mark.read_text().strip()}, {prefix}"
    if checkout := _checkout():
        return f"checkout {checkout}, environment {prefix}"
    kind = "virtual environment" if (prefix / "pyvenv.cfg").is_file() else "Python of the system"
    return f"{kind} {prefix}"


def library_versions() -> Iterator[tuple[str, str]]:
    """Yield name and version of each library that the program requires; extras where installed."""
    from importlib import metadata

    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        is_extra = "extra ==" in requirement
        match = _NAME.match(requirement)
        if match is None or (is_extra and 'extra == "dev"' in requirement.replace("'", '"')):
            continue
        try:
            yield match[0], metadata.version(match[0])
        except metadata.PackageNotFoundError:
            if not is_extra:
                yield match[0], "not installed"


def kernels() -> str:
    """Say whether the hottest loops run in C, and if not, why."""
    from appliance.native.library import PATH, why_unavailable

    reason = why_unavailable()
    return f"numpy, not C: {reason}" if reason else f"C, {PATH}"


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"{DISTRIBUTION}, version {__version__}")
    if ctx.params.get("verbose"):
        for name, text in _details(ctx):
            click.echo(_wrap(f"{name:<10} {text}"))
    ctx.exit()


def _wrap(line: str) -> str:
    """Break a line at spaces only, so that paths and digests can be copied."""
    import textwrap

    return textwrap.fill(
        line, 80, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False
    )


def _details(ctx: click.Context) -> Iterator[tuple[str, str]]:
    import platform

    yield "installed", installation(Path(sys.prefix))
    yield "python", f"{platform.python_version()}, {sys.executable}"
    yield "system", f"{_system()}, Linux {platform.release()}, {platform.machine()}"
    libraries = (f"{name} {version}" for name, version in library_versions())
    yield "libraries", ", ".join(libraries) or "unknown: the program runs without being installed"
    yield "kernels", kernels()
    yield "plugins", _plugins(ctx)


def _plugins(ctx: click.Context) -> str:
    """List plugins; those that are not ours with where they come from."""
    from appliance.cli.options import Invocation
    from appliance.plugin_manager import build_plugin_manager, loaded_plugins
    from appliance.settings.file import read_settings_file

    try:
        file = read_settings_file(ctx.ensure_object(Invocation).conf_path)
        disabled = file.disabled_plugins()
        rows = loaded_plugins(build_plugin_manager(disabled))
    # A report is wanted above all where something is wrong.
    except (ApplianceError, OSError) as error:
        return f"unknown: {error}"
    names = [
        str(row["name"]) if row["from"] == "built-in" else f"{row['name']} ({row['from']})"
        for row in rows
    ]
    return ", ".join(names) + (f"; disabled: {', '.join(disabled)}" if disabled else "")


def _system() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "a Linux that does not name itself"


def _checkout() -> Path | None:
    """Return the project's folder where the program was installed editable, or only lies there."""
    import json
    from importlib import metadata
    from urllib.parse import unquote, urlparse

    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return Path(__file__).parents[2]
    origin = json.loads(text) if text else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(origin["url"]).path))
