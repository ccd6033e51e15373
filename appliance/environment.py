"""Examines the machine: can the collector, as configured, do its work here, and if not, what to do.

Each `_check_` function looks at one thing and returns one `Finding`; nothing is changed beyond
sockets that are bound and closed again. `appliance check` prints the findings.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from appliance.collector.paths import CollectorPaths
from appliance.contracts import FAIL, HINT, OK, Finding
from appliance.errors import ApplianceError
from appliance.flowlog.expiry_clock import LEAP_FILE, read_leap
from appliance.native.library import why_unavailable
from appliance.settings.core import BUILT_IN
from appliance.settings.file import Settings
from appliance.settings.types import ListenAddress

OLDEST_PYTHON = (3, 11)
MOST_ENTRIES = 20_000
"""Of a large flow log not each file is looked at."""

SO_RCVBUFFORCE = 33
"""Linux's socket option, missing in the `socket` module: above the limit, with CAP_NET_ADMIN."""


def check_environment(settings: Settings) -> list[Finding]:
    """Look at everything that the collector needs on this machine."""
    listen: tuple[ListenAddress, ...] = settings["collector.listen"]
    return [
        _check_python(),
        _check_library("pyarrow", "writes the flow log"),
        _check_library("duckdb", "searches the flow log"),
        _check_kernels(),
        _check_data_directory(settings["data_directory"]),
        _check_free_space(settings),
        _check_clock(),
        *_check_clock_leap(settings),
        _check_ipv6(listen),
        *(_check_port(address) for address in listen),
        *check_connections(settings),
        _check_receive_buffer(settings["collector.receive_buffer"]),
    ]


def _check_python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding(OK, "python", found)
    return Finding(FAIL, "python", f"{found} is too old: install 3.11 or newer")


def _check_library(name: str, purpose: str) -> Finding:
    try:
        version = importlib.import_module(name).__version__
    except ImportError as error:
        problem = f"{purpose}, but cannot be imported ({error}): install the locked requirements"
        return Finding(FAIL, name, problem)
    return Finding(OK, name, version)


def _check_kernels() -> Finding:
    if not (reason := why_unavailable()):
        return Finding(OK, "kernels", "in C")
    advice = f"{reason}; all works, but takes more processor time"
    return Finding(HINT, "kernels", f"in numpy, not C: {advice}")


def _check_data_directory(folder: Path) -> Finding:
    there = existing(folder)
    if not there.is_dir():
        return Finding(FAIL, "data directory", f"{there} is a file: change data_directory")
    if not os.access(there, os.W_OK | os.X_OK):
        advice = f"make {there} writable for this user, or change data_directory"
        return Finding(FAIL, "data directory", f"{folder} cannot be written: {advice}")
    if (closed := _file_out_of_reach(folder)) is not None:
        advice = f"give all below {folder} to the user of the appliance: chown -R USER {folder}"
        return Finding(FAIL, "data directory", f"{closed} cannot be read and written: {advice}")
    made = "" if there == folder else " (will be made)"
    return Finding(OK, "data directory", f"{folder} is writable{made}")


def _file_out_of_reach(folder: Path) -> Path | None:
    """Return something below a folder that this user may not use, as after a start as root."""
    entries = islice(folder.rglob("*"), MOST_ENTRIES) if folder.is_dir() else ()
    for entry in entries:
        wanted = os.R_OK | os.W_OK | (os.X_OK if entry.is_dir() else 0)
        if not entry.is_symlink() and not os.access(entry, wanted):
            return entry
    return None


def _check_free_space(settings: Settings) -> Finding:
    free = shutil.disk_usage(existing(settings["data_directory"])).free
    text = f"{octets_text(free)} free"
    minimum: int = settings["flow_log.minimum_free_octets"]
    if free < minimum:
        advice = "free some, or lower flow_log.minimum_free_octets"
        return Finding(FAIL, "disk", f"{text}, less than {octets_text(minimum)}: {advice}")
    budget: int = settings["flow_log.retention_octets"]
    if free < budget:
        advice = "lower flow_log.retention_octets unless most of it is used already"
        return Finding(HINT, "disk", f"{text} for up to {octets_text(budget)}: {advice}")
    return Finding(OK, "disk", text)


def _check_clock() -> Finding:
    """Compare the clock with the age of this file: no flow can be older than the program."""
    now, made = time.time(), Path(__file__).stat().st_mtime
    text = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < made - 86400:
        advice = "set it, and keep it right with an NTP client"
        return Finding(FAIL, "clock", f"{text} is before this program was installed: {advice}")
    return Finding(OK, "clock", text)


def _check_clock_leap(settings: Settings) -> Iterator[Finding]:
    """Say that the loader does not believe the clock yet, so that nothing expires by age."""
    folder = CollectorPaths(settings["data_directory"]).flow_log
    leap = read_leap(folder)
    if leap is not None:
        text = f"is {leap.days:.1f} days ahead of the flow log, which expires by it in an hour"
        advice = f"set the clock, or if it is right: rm {folder / LEAP_FILE}"
        yield Finding(HINT, "clock leap", f"{text}: {advice}")


def _check_ipv6(listen: tuple[ListenAddress, ...]) -> Finding:
    if has_ipv6():
        return Finding(OK, "ipv6", "available")
    if all(":" not in address.host for address in listen):
        return Finding(OK, "ipv6", "off, and not asked for")
    return Finding(HINT, "ipv6", "off on this machine: only IPv4 exporters are heard")


def check_connections(settings: Settings) -> Iterator[Finding]:
    """Look at what exporters' connections need."""
    listen = (*settings["collector.listen_tcp"], *settings["collector.listen_tls"])
    if listen and settings["collector.engine"] != BUILT_IN:
        advice = "unset listen_tcp and listen_tls, or set collector.engine to builtin"
        engine = settings["collector.engine"]
        yield Finding(HINT, "connections", f"{engine} receives, and takes none: {advice}")
        return
    for address in listen:
        yield _check_port(address, socket.SOCK_STREAM)
    if settings["collector.listen_tls"]:
        yield _check_certificate(settings)


def _check_certificate(settings: Settings) -> Finding:
    from appliance.collector.tcp.tls import tls_context, tls_files_of

    try:
        files = tls_files_of(settings)
        tls_context(files)
    except ApplianceError as error:
        return Finding(FAIL, "exporters' tls", str(error))
    asks = "exporters show one" if files.client_ca else "exporters need none"
    return Finding(OK, "exporters' tls", f"{files.certificate}; {asks}")


def _check_port(address: ListenAddress, kind: socket.SocketKind = socket.SOCK_DGRAM) -> Finding:
    what = f"port {address.port}" if kind == socket.SOCK_DGRAM else f"tcp port {address.port}"
    try:
        with bound_socket(address, kind):
            return Finding(OK, what, f"{address} is free")
    except OSError as error:
        return _explain(address, kind, what, error)


def _explain(address: ListenAddress, kind: socket.SocketKind, what: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        user, ours = _user_of(address.port, kind)
        if ours:
            return Finding(OK, what, f"{address} is used by the running collector, {user}")
        advice = "stop it or change collector.listen"
        return Finding(FAIL, what, f"busy: port {address.port} is used by {user}, {advice}")
    if error.errno == errno.EADDRNOTAVAIL:
        advice = "change collector.listen"
        return Finding(FAIL, what, f"{address.host} is not an address of this machine: {advice}")
    if error.errno == errno.EACCES:
        advice = "use a port from 1024 on in collector.listen"
        return Finding(FAIL, what, f"not allowed to listen on port {address.port}: {advice}")
    return Finding(FAIL, what, f"{address}: {(error.strerror or str(error)).lower()}")


def _user_of(port: int, kind: socket.SocketKind) -> tuple[str, bool]:
    """Name the program that has a port, and tell whether it is a collector of ours."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("udp" if kind == socket.SOCK_DGRAM else "tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                # An engine's program is a child of the collector.
                ours = any(_is_collector(each.cmdline()) for each in (process, *process.parents()))
                return f"{process.name()} (process {connection.pid})", ours
    return "another program", False


def _is_collector(words: Sequence[str]) -> bool:
    return any(Path(word).name == "appliance" for word in words) and (
        "collect" in words or "run" in words
    )


def _check_receive_buffer(wanted: int) -> Finding:
    granted = granted_receive_buffer(wanted)
    if granted >= wanted:
        return Finding(OK, "receive buffer", f"{octets_text(granted)} for each port")
    advice = f"as root, sysctl -w net.core.rmem_max={wanted} (and in /etc/sysctl.d to keep it)"
    problem = f"{octets_text(granted)} of {octets_text(wanted)}, bursts may be lost: {advice}"
    return Finding(HINT, "receive buffer", problem)


def granted_receive_buffer(wanted: int) -> int:
    """Return how many octets the kernel gives a UDP socket that asks for so many."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        wanted = min(wanted, 2**31 // 2 - 1)
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, wanted)
        except OSError:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        # Linux doubles the request for its own bookkeeping and returns the doubled value.
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def has_ipv6() -> bool:
    """Tell whether a UDP socket can be bound to an IPv6 address here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def bound_socket(
    address: ListenAddress, kind: socket.SocketKind = socket.SOCK_DGRAM
) -> socket.socket:
    """Bind a socket as the collector does: `[::]` takes IPv4 too, and is IPv4 without IPv6.

    Raises
    ------
    OSError
        The address is busy, foreign or forbidden.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    host = address.host
    if host == "::" and not has_ipv6():
        family, host = socket.AF_INET, "0.0.0.0"  # noqa: S104 - all addresses is what was asked for
    probe = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        probe.bind((host, address.port))
    except OSError:
        probe.close()
        raise
    return probe


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def octets_text(octets: float) -> str:
    """Write a size for people, decimal as in the settings: `1.5 GB`."""
    for unit in ("octets", "kB", "MB", "GB"):
        if octets < 1000:
            return f"{octets:.0f} {unit}" if unit == "octets" else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"
