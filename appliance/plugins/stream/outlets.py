"""Ways out for lines: a stream of octets, datagrams, or a file.

Each takes a batch with `begin` and then works on it in slices of time, so that one that is slow
holds up nobody. A batch is done when the other side has it: the other machine's TCP has
acknowledged it all, the reader of a UNIX socket has read it, the disk has it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

CONNECT_SECONDS = 3.0
CHUNK_OCTETS = 1 << 18
FILE_MODE = 0o640
"""Of a new file: flows tell who talked to whom."""

_LOOK_SECONDS = 0.01


class Outlet(Protocol):
    """Takes lines, one batch after the other."""

    n_left_out: int
    """Lines that no try could get through, as they are too long."""

    def begin(self, lines: Sequence[bytes]) -> None:
        """Take a batch over; the one before is done, or given up by `close`."""
        ...

    def work(self, seconds: float) -> bool:
        """Go on for so long; return whether the other side has all of the batch.

        Raises
        ------
        OSError
            The way is broken: `close`, and begin again.
        """
        ...

    def progress(self) -> int:
        """Return a number that grows as long as it goes on."""
        ...

    def close(self) -> None:
        """Give up what is not done."""
        ...


class StreamOutlet:
    """A connection by TCP, TLS or a UNIX socket.

    Parameters
    ----------
    address
        Host and port, or the path of a UNIX socket.
    tls
        None for plain text.
    """

    def __init__(self, address: tuple[str, int] | Path, tls: ssl.SSLContext | None = None) -> None:
        self._address, self._tls = address, tls
        self._socket: socket.socket | None = None
        self._octets, self._sent, self._total = memoryview(b""), 0, 0
        self.n_left_out = 0

    def begin(self, lines: Sequence[bytes]) -> None:
        """Take a batch over; see `Outlet`."""
        self._octets, self._sent = memoryview(b"".join(lines)), 0

    def work(self, seconds: float) -> bool:
        """Send, and wait until it is acknowledged; see `Outlet`."""
        end = time.monotonic() + seconds
        sock = self._connected()
        while self._sent < len(self._octets):
            if not self._send_some(sock, end):
                return False
        while _unacknowledged(sock):
            if time.monotonic() >= end:
                return False
            self._listen(sock)
            time.sleep(_LOOK_SECONDS)
        self._listen(sock)
        return True

    def progress(self) -> int:
        """Return the octets that were sent, less those that wait in this machine."""
        return self._total - (_unacknowledged(self._socket) if self._socket else 0)

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._octets, self._sent = None, memoryview(b""), 0

    def _connected(self) -> socket.socket:
        if self._socket is None:
            if isinstance(self._address, Path):
                sock = socket.socket(socket.AF_UNIX)
                try:
                    sock.settimeout(CONNECT_SECONDS)
                    sock.connect(str(self._address))
                except BaseException:
                    sock.close()
                    raise
            else:
                sock = socket.create_connection(self._address, CONNECT_SECONDS)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket = self._secured(sock)
            self._socket.setblocking(False)
        return self._socket

    def _secured(self, sock: socket.socket) -> socket.socket:
        if self._tls is None or isinstance(self._address, Path):
            return sock
        try:
            return self._tls.wrap_socket(sock, server_hostname=self._address[0])
        except BaseException:
            sock.close()
            raise

    def _send_some(self, sock: socket.socket, end: float) -> bool:
        """Send a piece; return False when the time is over."""
        wanted = select.POLLOUT
        try:
            sent = sock.send(self._octets[self._sent : self._sent + CHUNK_OCTETS])
            self._sent, self._total = self._sent + sent, self._total + sent
            return time.monotonic() < end or self._sent == len(self._octets)
        except ssl.SSLWantReadError:
            wanted = select.POLLIN
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._listen(sock)
        left_ms = max(end - time.monotonic(), 0) * 1000
        poll = select.poll()
        poll.register(sock, wanted)
        return bool(poll.poll(left_ms))

    def _listen(self, sock: socket.socket) -> None:
        """Throw away what the other side says, and hear when it hangs up."""
        try:
            if sock.recv(CHUNK_OCTETS) == b"":
                raise ConnectionResetError(errno.ECONNRESET, "the other side ended the connection")
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass


def _unacknowledged(sock: socket.socket) -> int:
    """Return the octets that the other side does not have yet; tcp(7) and unix(7), SIOCOUTQ."""
    waiting = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("=i", waiting)[0])


class DatagramOutlet:
    """Datagrams by UDP, a line each; nobody says whether one arrives."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._lines: Sequence[bytes] = ()
        self._sent = self._total = self.n_left_out = 0

    def begin(self, lines: Sequence[bytes]) -> None:
        """Take a batch over; see `Outlet`."""
        self._lines, self._sent = lines, 0

    def work(self, seconds: float) -> bool:
        """Send; see `Outlet`."""
        end = time.monotonic() + seconds
        if self._socket is None:
            family, kind, protocol, _, address = socket.getaddrinfo(
                *self._address, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        while self._sent < len(self._lines) and time.monotonic() < end:
            try:
                self._socket.send(self._lines[self._sent])
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self.n_left_out += 1
            self._sent, self._total = self._sent + 1, self._total + 1
        return self._sent == len(self._lines)

    def progress(self) -> int:
        """Return the lines that were sent."""
        return self._total

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._lines, self._sent = None, (), 0


class FileOutlet:
    """A file that lines are added to, opened for each batch: who renames it gets a new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._octets, self._total, self.n_left_out = b"", 0, 0

    def begin(self, lines: Sequence[bytes]) -> None:
        """Take a batch over; see `Outlet`."""
        self._octets = b"".join(lines)

    def work(self, seconds: float) -> bool:
        """Write, and wait for the disk; see `Outlet`."""
        if not self._octets:
            return True
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, FILE_MODE)
        try:
            self._append(descriptor)
        finally:
            os.close(descriptor)
        self._total, self._octets = self._total + len(self._octets), b""
        return True

    def _append(self, descriptor: int) -> None:
        """Add the lines; what cannot be written whole is taken back."""
        size = os.fstat(descriptor).st_size
        # A crash, or a full disk, may have left a line without its end.
        begun = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
        octets = memoryview(begun + self._octets)
        try:
            while octets:
                octets = octets[os.write(descriptor, octets) :]
            os.fdatasync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise

    def progress(self) -> int:
        """Return the octets that were written."""
        return self._total

    def close(self) -> None:
        """Forget the batch."""
        self._octets = b""
