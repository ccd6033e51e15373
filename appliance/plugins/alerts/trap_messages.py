"""The notifications themselves, sent by pysnmp, whose import takes half a second."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pysnmp.hlapi.v3arch import asyncio as hlapi

from appliance.plugins.alerts.trap_addresses import TrapReceiver
from appliance.plugins.alerts.traps import STARTED, Notice, engine_id
from appliance.snmp_users import user_data

SECONDS = 10.0
_MESSAGE = "1.3.6.1.2.1.192.1.2.1"
_NOTIFICATION = "1.3.6.1.2.1.192.0.1"
_UPTIME, _TRAP_OID = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"
_FACILITY_LOCAL0 = 16
_SEVERITIES = {"info": 6, "warning": 4, "critical": 2}
"""Of syslog, RFC 5424 section 6.2.1."""

_MAX_TEXT = 1024


def send_all(receivers: Sequence[TrapReceiver], notices: Sequence[Notice]) -> None:
    """Send notices to all receivers.

    Raises
    ------
    OSError
        A name cannot be found.
    """
    asyncio.run(_send_all(receivers, notices))


async def _send_all(receivers: Sequence[TrapReceiver], notices: Sequence[Notice]) -> None:
    for receiver in receivers:
        engine = _engine()
        try:
            async with asyncio.timeout(SECONDS):
                for number, notice in enumerate(notices, 1):
                    await _send(engine, receiver, notice, number)
        finally:
            engine.close_dispatcher()


async def _send(engine: Any, receiver: TrapReceiver, notice: Notice, number: int) -> None:
    # Resolved here: a name that is not known is an error of ours, not the library's.
    loop = asyncio.get_running_loop()
    [first, *_] = await loop.getaddrinfo(receiver.host, receiver.port, type=socket.SOCK_DGRAM)
    is_v6 = first[0] == socket.AF_INET6
    kind = hlapi.Udp6TransportTarget if is_v6 else hlapi.UdpTransportTarget
    target = await kind.create(first[4][:2])
    problem, *_ = await hlapi.send_notification(
        engine, _auth_data(receiver), target, hlapi.ContextData(), "trap",
        *_objects(notice, number), lookupMib=False,
    )  # fmt: skip
    if problem:
        raise OSError(str(problem)[:_MAX_TEXT])


def _engine() -> Any:
    """Return an engine whose boots grow with each: receivers drop what seems to be older."""
    engine = hlapi.SnmpEngine()
    builder = engine.get_mib_builder()
    symbols = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
    symbols[0].syntax = engine.snmpEngineID = symbols[0].syntax.clone(engine_id())
    symbols[1].syntax = symbols[1].syntax.clone(int(time.time()))
    return engine


def _auth_data(receiver: TrapReceiver) -> Any:
    if receiver.community:
        # Version 2c, which many receivers have only; 3 is there for those that have it.
        return hlapi.CommunityData(receiver.community, mpModel=1)  # noqa: S508
    return user_data(
        receiver.user,
        (receiver.auth_protocol, receiver.auth_key),
        (receiver.privacy_protocol, receiver.privacy_key),
        securityEngineId=_octets(engine_id()),
    )


def _octets(value: bytes) -> Any:
    return hlapi.OctetString(value)


def _objects(notice: Notice, number: int) -> list[Any]:
    """Return the objects of a notification, RFC 5676 section 7."""

    def instance(column: int) -> str:
        return f"{_MESSAGE}.{column}.{number}"

    # DateAndTime of RFC 2579, the long form with a zone: SyslogTimeStamp begins so.
    now = datetime.now(UTC)
    stamp = now.year.to_bytes(2) + bytes([now.month, now.day, now.hour, now.minute, now.second, 0])
    over = "alert-over" if notice.is_over else "alert-begins"
    severity = _SEVERITIES["info" if notice.is_over else notice.severity]
    values: list[tuple[str, Any]] = [
        (_UPTIME, hlapi.TimeTicks(int((time.monotonic() - STARTED) * 100))),
        (_TRAP_OID, hlapi.ObjectIdentifier(_NOTIFICATION)),
        (instance(2), hlapi.Integer32(_FACILITY_LOCAL0)),
        (instance(3), hlapi.Integer32(severity)),
        (instance(4), hlapi.Unsigned32(1)),
        (instance(5), _octets(stamp + b"+" + bytes(2))),
        (instance(6), _octets(socket.gethostname().encode()[:255])),
        (instance(7), _octets(b"netflow-appliance")),
        (instance(8), _octets(b"-")),
        (instance(9), _octets(over.encode())),
        (instance(10), hlapi.Unsigned32(0)),
        (instance(11), _octets(notice.text.encode()[:_MAX_TEXT])),
    ]
    return [hlapi.ObjectType(hlapi.ObjectIdentity(oid), value) for oid, value in values]
