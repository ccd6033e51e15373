"""Reads a device by SNMP: what it is called, its interfaces, and their counters.

Columns are those of ifXTable (RFC 2863), read by GETBULK; the device's name, description and
uptime are of the system group (RFC 3418). A device without ifXTable is read by ifTable: ifDescr
and ifSpeed, but not its counters of 32 bits, which wrap between two rounds. What a device answers
is a stranger's: rows, requests, time and the length of texts are bounded, and indices must ascend,
or a walk would never end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi

from appliance import ApplianceError
from appliance.interface_history import DeviceReading, InterfaceReading
from appliance.plugins.names.snmp.snmp_settings import V3, Agent, Credentials
from appliance.snmp_users import user_data

MAX_INTERFACES = 10_000
MAX_TEXT = 256
MAX_REQUESTS = 2000
"""To one device in one round."""

DEVICE_SECONDS = 45.0
"""So long one device may take altogether."""

_RETRIES = 2
_REPETITIONS = 10
"""Rows that one request asks for: the answer stays near the size of one packet."""

_DESCRIPTION, _UPTIME, _NAME = (f"1.3.6.1.2.1.1.{number}.0" for number in (1, 3, 5))
_IF_X = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_IF_NAME, _IF_IN, _IF_OUT, _IF_SPEED, _IF_ALIAS = 1, 6, 10, 15, 18
_IF_TABLE = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_IF_DESCR, _IF_SPEED_32 = 2, 5
_MEGABIT = 1_000_000
_MAX_COUNTER = (1 << 64) - 1
_MAX_GAUGE = (1 << 32) - 1
"""Of ifSpeed it says that the interface is faster than it can tell."""
_MAX_INDEX = (1 << 31) - 1


class SnmpError(ApplianceError):
    """A device does not answer, or not what it should."""


class Limits(NamedTuple):
    """What a round may take.

    Attributes
    ----------
    timeout_seconds
        For each of three tries of a request.
    concurrency
        Devices that are asked at the same time.
    """

    timeout_seconds: float
    concurrency: int


class _Table(NamedTuple):
    """A table that is walked: its entry's OID, and the columns of it that are read."""

    entry: tuple[int, ...]
    columns: tuple[int, ...]


_IF_X_COLUMNS = _Table(_IF_X, (_IF_NAME, _IF_ALIAS, _IF_SPEED, _IF_IN, _IF_OUT))
_IF_COLUMNS = _Table(_IF_TABLE, (_IF_DESCR, _IF_SPEED_32))


class _Access(NamedTuple):
    """What a request needs beside its objects."""

    engine: Any
    credentials: Any
    target: Any


async def read_devices(
    agents: Sequence[Agent], limits: Limits
) -> list[tuple[Agent, DeviceReading | SnmpError]]:
    """Read devices, several at a time; return what each said, or why it said nothing."""
    turns = asyncio.Semaphore(limits.concurrency)
    # What an engine remembers of a user is by the user's name: each set of credentials has its own.
    different = {agent.credentials for agent in agents}
    engines = {credentials: hlapi.SnmpEngine() for credentials in different}

    async def read(agent: Agent) -> DeviceReading | SnmpError:
        async with turns:
            try:
                async with asyncio.timeout(DEVICE_SECONDS):
                    return await _read_device(engines[agent.credentials], agent, limits)
            except TimeoutError:
                return SnmpError(f"took longer than {DEVICE_SECONDS:.0f} s")
            except SnmpError as error:
                return error
            # Whatever the library meets in what a device answers: it has no common base.
            except Exception as error:
                return SnmpError(f"{type(error).__name__}: {error}"[:MAX_TEXT])

    try:
        results = await asyncio.gather(*map(read, agents))
    finally:
        for engine in engines.values():
            engine.close_dispatcher()
    return list(zip(agents, results, strict=True))


async def _read_device(engine: Any, agent: Agent, limits: Limits) -> DeviceReading:
    kind = hlapi.Udp6TransportTarget if ":" in agent.address else hlapi.UdpTransportTarget
    target = await kind.create(
        (agent.address, agent.port), timeout=limits.timeout_seconds, retries=_RETRIES
    )
    access = _Access(engine, _auth_data(agent.credentials), target)
    name, description, uptime = await _get(access, (_NAME, _DESCRIPTION, _UPTIME))
    began = time.time()
    columns = await _walk(access, _IF_X_COLUMNS)
    interfaces = _interfaces(columns)
    if not interfaces:
        interfaces = _old_interfaces(await _walk(access, _IF_COLUMNS))
    return DeviceReading(
        agent.exporter,
        int((began + time.time()) / 2 * 1000),  # when the counters were read, in the middle
        10 * (_number(uptime, _MAX_GAUGE) or 0),
        _text(name),
        _text(description),
        interfaces,
    )


def _auth_data(credentials: Credentials) -> Any:
    if credentials.version != V3:
        # Version 2c, which many devices have only; 3 is there for those that have it.
        return hlapi.CommunityData(credentials.community, mpModel=1)  # noqa: S508
    return user_data(
        credentials.user,
        (credentials.auth_protocol, credentials.auth_key),
        (credentials.privacy_protocol, credentials.privacy_key),
    )


def _objects(oids: Iterable[str]) -> list[Any]:
    return [hlapi.ObjectType(hlapi.ObjectIdentity(oid)) for oid in oids]


async def _get(access: _Access, oids: Sequence[str]) -> list[Any]:
    """Return the values of objects.

    Raises
    ------
    SnmpError
        The device does not answer, or refuses.
    """
    answer = await hlapi.get_cmd(*access, hlapi.ContextData(), *_objects(oids), lookupMib=False)
    values = [bind[1] for bind in _binds(answer)]
    if len(values) != len(oids):
        raise SnmpError(f"{len(values)} values in an answer to {len(oids)}")
    return values


def _binds(answer: tuple[Any, ...]) -> Sequence[Any]:
    problem, status, _, binds = answer
    if problem:
        raise SnmpError(str(problem)[:MAX_TEXT])
    if status:
        raise SnmpError(f"refused: {status.prettyPrint()}"[:MAX_TEXT])
    return list(binds)


async def _walk(access: _Access, table: _Table) -> Mapping[int, dict[int, Any]]:
    """Return the columns of a table that the device has: values by ifIndex."""
    columns: dict[int, dict[int, Any]] = {column: {} for column in table.columns}
    places = {column: (*table.entry, column) for column in table.columns}
    for _ in range(MAX_REQUESTS):
        if not places:
            break
        left = list(places)
        oids = [".".join(map(str, places[column])) for column in left]
        answer = await hlapi.bulk_cmd(
            *access, hlapi.ContextData(), 0, _REPETITIONS, *_objects(oids), lookupMib=False
        )
        for position, (name, value) in enumerate(_binds(answer)):
            column = left[position % len(left)]
            if column not in places:
                continue
            place = tuple(name)
            *start, index = place
            is_of_column = tuple(start) == (*table.entry, column) and 0 < index <= _MAX_INDEX
            has_room = len(columns[column]) < MAX_INTERFACES
            if not is_of_column or not has_room or place <= places[column]:
                del places[column]
                continue
            columns[column][index] = value
            places[column] = place
    return columns


def _interfaces(columns: Mapping[int, dict[int, Any]]) -> list[InterfaceReading]:
    """Return the interfaces of which any column tells something."""
    indices = sorted(set().union(*columns.values()))[:MAX_INTERFACES]
    return [
        InterfaceReading(
            index,
            _text(columns[_IF_NAME].get(index)),
            _text(columns[_IF_ALIAS].get(index)),
            _MEGABIT * (_number(columns[_IF_SPEED].get(index), _MAX_GAUGE) or 0),
            _number(columns[_IF_IN].get(index), _MAX_COUNTER),
            _number(columns[_IF_OUT].get(index), _MAX_COUNTER),
        )
        for index in indices
    ]


def _old_interfaces(columns: Mapping[int, dict[int, Any]]) -> list[InterfaceReading]:
    """Return the interfaces of a device that has ifTable only."""
    readings = []
    for index in sorted(set().union(*columns.values()))[:MAX_INTERFACES]:
        speed = _number(columns[_IF_SPEED_32].get(index), _MAX_GAUGE) or 0
        name = _text(columns[_IF_DESCR].get(index))
        speed = 0 if speed == _MAX_GAUGE else speed
        readings.append(InterfaceReading(index, name, "", speed, None, None))
    return readings


def _text(value: Any) -> str:
    """Return an octet string as one line of text, without what cannot be printed."""
    try:
        octets = value.asOctets()[: 4 * MAX_TEXT]
    except AttributeError:
        return ""
    text = octets.decode("utf-8", "replace")
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:MAX_TEXT]


def _number(value: Any, highest: int) -> int | None:
    """Return a number of the device; None where there is none, or an impossible one."""
    try:
        number = int(value)
    except (TypeError, ValueError, AttributeError, PySnmpError):
        return None
    return number if 0 <= number <= highest else None
