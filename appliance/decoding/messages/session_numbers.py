"""Which transport session a message came in: the number that stands beside the exporter's address.

Over UDP a session is the exporter's port, and its number is that port. A connection has a number of
its own above all ports: what one connection told is never taken for another's, not even of one that
comes from the same port later (RFC 7011 section 8: templates end with their transport session).
"""

from __future__ import annotations

from enum import IntEnum

_TRANSPORT_BIT = 16
_SERIAL_BIT = 18
_PORT_MASK = 0xFFFF
MAX_SERIAL = 1 << 40


class Transport(IntEnum):
    """What carries messages."""

    UDP = 0
    TCP = 1
    TLS = 2


def connection_number(serial: int, transport: Transport, port: int) -> int:
    """Return the number of a connection's session.

    Parameters
    ----------
    serial
        Of this connection; no other one of this process has it.
    port
        The exporter's.
    """
    return serial % MAX_SERIAL << _SERIAL_BIT | transport << _TRANSPORT_BIT | port


def is_connection(number: int) -> bool:
    """Tell whether a session is a connection; else it is a port that sends datagrams."""
    return number > _PORT_MASK


def port_of(number: int) -> int:
    """Return the exporter's port of a session."""
    return number & _PORT_MASK


def transport_of(number: int) -> Transport:
    """Return what carries the messages of a session."""
    return Transport(number >> _TRANSPORT_BIT & 3)
