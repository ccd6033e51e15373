"""Which Debian a box is made of: APPLIANCE_RELEASE, which `make test-box RELEASE=trixie` sets."""

from __future__ import annotations

import os
from dataclasses import dataclass

VARIABLE = "APPLIANCE_RELEASE"


class UnknownRelease(ValueError):
    """There are no boxes of the release that is asked for; the text is a sentence."""


@dataclass(frozen=True)
class Release:
    """A release of Debian that becomes an appliance.

    Attributes
    ----------
    name
        As in apt's sources.
    number
        VERSION_ID of its os-release.
    python
        The version of its /usr/bin/python3.
    dhcp_client
        The package that its installer takes for ifupdown's method `dhcp`.
    """

    name: str
    number: str
    python: str
    dhcp_client: str


RELEASES = {
    release.name: release
    for release in (
        Release("bookworm", "12", "3.11", "isc-dhcp-client"),
        Release("trixie", "13", "3.13", "dhcpcd-base"),
    )
}
DEFAULT = "bookworm"
CLICKHOUSE_RELEASES = ("bookworm",)
"""Those that have the package clickhouse-server."""


def chosen_release() -> Release:
    """Return the release of the boxes of this run.

    Raises
    ------
    UnknownRelease
        The variable names another one.
    """
    name = os.environ.get(VARIABLE) or DEFAULT
    if name not in RELEASES:
        raise UnknownRelease(f"{VARIABLE}: expected {' or '.join(RELEASES)}, found {name}")
    return RELEASES[name]
