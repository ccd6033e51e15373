"""Who runs the network of an interface: ifupdown, or a program that would undo its work.

Everything is read from files that such a program leaves, and from the list of processes, so this
needs no privilege and runs no program.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

NETWORK_MANAGER = "NetworkManager"
NETWORKD = "systemd-networkd"
NETPLAN = "netplan"

_COMMAND_LETTERS = 15
"""The kernel keeps so many letters of a process's name."""

_NETPLAN_FOLDERS = ("etc/netplan", "run/netplan", "lib/netplan", "usr/lib/netplan")


def other_manager(interface: str, root: Path = Path("/")) -> str | None:
    """Say which other program runs this interface, in a sentence; None when ifupdown may."""
    running = set(_running(root))
    if NETWORK_MANAGER[:_COMMAND_LETTERS] in running:
        return f"{NETWORK_MANAGER} is running; stop and disable it, then /etc/network is in charge"
    if any(path.suffix in (".yaml", ".yml") for path in _netplan_files(root)):
        return f"{NETPLAN} is configured; remove its files, then /etc/network is in charge"
    if NETWORKD[:_COMMAND_LETTERS] in running and _is_networkds(interface, root):
        return f"{NETWORKD} manages {interface}; let it leave the interface alone first"
    return None


def _running(root: Path) -> Iterator[str]:
    for process in (root / "proc").glob("[0-9]*/comm"):
        try:
            yield process.read_text(errors="replace").strip()
        except OSError:
            continue


def _netplan_files(root: Path) -> Iterator[Path]:
    for folder in _NETPLAN_FOLDERS:
        yield from (root / folder).glob("*.y*ml")


def _is_networkds(interface: str, root: Path) -> bool:
    """Tell whether networkd set the interface up, by the state that it keeps of each link."""
    try:
        state = (root / "run/systemd/netif/links" / _index(interface, root)).read_text(
            errors="replace"
        )
    except OSError:
        return False
    found = re.search(r"^ADMIN_STATE=(\S+)", state, re.MULTILINE)
    return found is not None and found[1] != "unmanaged"


def _index(interface: str, root: Path) -> str:
    """Return the number of an interface; /sys may be that of another network namespace."""
    if root == Path("/"):
        return str(socket.if_nametoindex(interface))
    return (root / "sys/class/net" / interface / "ifindex").read_text().strip()
