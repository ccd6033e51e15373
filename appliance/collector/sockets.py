"""Opening the sockets that exporters send to, and what only the kernel can answer about them.

Each failure to bind becomes one sentence that names the address and what to do. Socket options that
Python's `socket` does not name are Linux's, from asm-generic/socket.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Sequence

from appliance.errors import StartupError
from appliance.settings.types import ListenAddress

SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55

_MEMINFO_WORDS = 9
_MEMINFO_DROPS = 8
"""Index of SK_MEMINFO_DROPS (linux/sock_diag.h): the counter that /proc/net/udp shows, too."""

_LARGEST_REQUEST = 2**30
"""The kernel doubles the request in a signed 32-bit number."""


def open_socket(
    address: ListenAddress,
    *,
    v6_only: bool = False,
    kind: socket.SocketKind = socket.SOCK_DGRAM,
) -> tuple[socket.socket, str]:
    """Bind a socket; it does not listen yet.

    Parameters
    ----------
    v6_only
        Keep IPv4 away from `::`, because another socket listens there.
    kind
        SOCK_DGRAM for UDP, SOCK_STREAM for TCP.

    Returns
    -------
    tuple of socket and str
        The socket, and a sentence about what had to be done differently, or "".

    Raises
    ------
    StartupError
        The address is taken, foreign, forbidden or unknown.
    """
    try:
        return _bind(address, v6_only=v6_only, kind=kind), ""
    except OSError as error:
        if address.host != "::" or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            reason = _reason(error, address, kind)
            raise StartupError(f"cannot listen on {address}: {reason}") from error
    instead = ListenAddress("0.0.0.0", address.port)  # noqa: S104 - all addresses are asked for
    warning = f"this machine has no IPv6: listening on {instead} instead of {address}"
    try:
        return _bind(instead, v6_only=False, kind=kind), warning
    except OSError as error:
        reason = _reason(error, instead, kind)
        raise StartupError(f"cannot listen on {instead}: {reason}") from error


def has_v4_twin(address: ListenAddress, listen: Sequence[ListenAddress]) -> bool:
    """Tell whether an IPv4 address is listened on at the port of an IPv6 one."""
    return ":" in address.host and any(
        other.port == address.port and ":" not in other.host for other in listen
    )


def _bind(address: ListenAddress, *, v6_only: bool, kind: socket.SocketKind) -> socket.socket:
    infos = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, target = infos[0]
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, kind, protocol))
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            # Connections that a former collector closed must not keep the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
        sock.bind(target)
        undo.pop_all()
    return sock


def _reason(error: OSError, address: ListenAddress, kind: socket.SocketKind) -> str:
    if isinstance(error, socket.gaierror):
        return "the host name is not known; give an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            letter = "t" if kind == socket.SOCK_STREAM else "u"
            return (
                f"another program uses the port (`ss -l{letter}np sport = :{address.port}` shows "
                "which); "
                "stop it or choose another port"
            )
        case errno.EADDRNOTAVAIL:
            return "this machine does not have the address; `ip address` shows those it has"
        case errno.EACCES:
            return "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one"
    return f"{error.strerror}".lower()


def address_of(sock: socket.socket) -> ListenAddress:
    """Return where a socket is bound, with the real port."""
    host, port = sock.getsockname()[:2]
    return ListenAddress(host, port)


def enlarge_buffer(sock: socket.socket, octets: int) -> int:
    """Ask for a receive buffer and return what was granted, in the same measure.

    The kernel books twice the number asked for, and reports that; half of it is returned.
    """
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, min(octets, _LARGEST_REQUEST))
            break
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def buffer_warning(asked: int, granted: int) -> str:
    """Say how to get the buffer that was asked for, or "" when it was granted."""
    if granted >= asked:
        return ""
    return (
        f"receive buffer: asked for {_size(asked)}, got {_size(granted)}; raise it with "
        f"`sysctl -w net.core.rmem_max={asked}` or grant CAP_NET_ADMIN"
    )


def _size(octets: int) -> str:
    return f"{octets / 1e6:.4g} MB" if octets >= 1e6 else f"{octets / 1e3:.4g} kB"


def kernel_drops(sock: socket.socket) -> int:
    """Return how many datagrams the kernel has dropped for this socket, modulo 2**32.

    The figure is 0 on a system that does not tell (Linux before 4.12).
    """
    try:
        words = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _MEMINFO_WORDS)
    except OSError:
        return 0
    if len(words) < 4 * _MEMINFO_WORDS:
        return 0
    return int(struct.unpack(f"={_MEMINFO_WORDS}I", words)[_MEMINFO_DROPS])


def refuse_everything(sock: socket.socket) -> bool:
    """Let the kernel drop what arrives from now on; what is queued stays readable.

    Returns
    -------
    bool
        False where the system has no socket filters.
    """
    # One instruction of classic BPF, `ret #0`: keep no octet (linux/filter.h).
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0), 8)
    with contextlib.suppress(OSError):
        filter_program = struct.pack("@HP", 1, ctypes.addressof(program))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_program)
        return True
    return False
