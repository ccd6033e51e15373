"""Why `appliance top` and `appliance flows` have nothing to show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.collector.exporter_rows import is_current, mapping, number
from appliance.collector.status import read_status

_MOST_NAMED = 3


def reasons_for_nothing(flow_log: Path) -> list[str]:
    """Return sentences, most important first, on why a search of a flow log gave no flow.

    Parameters
    ----------
    flow_log
        The folder of the flow log; the collector's figures lie beside it.
    """
    from appliance.collector.paths import CollectorPaths

    path = CollectorPaths(flow_log.parent).status
    status = read_status(path)
    if status is None:
        # Flows may have been imported; of a collector nothing is known.
        return [f"nothing to show: no flow in {flow_log} fits"]
    return [f"nothing to show: {reason}" for reason in _reasons(status, time.time())]


def _reasons(status: dict[str, Any], now: float) -> Iterator[str]:
    reasons = [*_of_receiving(status), *_of_waiting(status)]
    if not is_current(status, now):
        yield "the collector is not running"
    yield from reasons
    written = number(mapping(status.get("log")), "records_written")
    if written:
        yield f"no flow fits; the collector wrote {_many(written, 'record')} since it started"
    elif not reasons and not status.get("feed"):
        yield "the collector has received no flows since it started"


def _of_receiving(status: dict[str, Any]) -> Iterator[str]:
    datagrams, refused = number(status, "datagrams"), number(status, "refused_datagrams")
    connections = mapping(status.get("connections"))
    by_connection = mapping(connections.get("counts"))
    received = datagrams + refused + number(by_connection, "messages")
    if not received and not status.get("feed"):
        listen, streams = status.get("listen"), connections.get("listen")
        where = ", ".join(map(str, listen)) if isinstance(listen, list) else "its addresses"
        also = "".join(f", {one}" for one in streams) if isinstance(streams, list) else ""
        yield f"nothing was received on UDP {where}{also} since the collector started"
    if strangers := number(by_connection, "refused_not_allowed"):
        yield f"{_many(strangers, 'connection')} came from elsewhere than allowed_exporters"
    if refused:
        yield f"{_many(refused, 'datagram')} came from elsewhere than collector.allowed_exporters"
    unsupported = number(mapping(status.get("counts")), "datagrams_unsupported_version")
    if unsupported:
        yield f"{_many(unsupported, 'datagram')} had no version that is understood"


def _of_waiting(status: dict[str, Any]) -> Iterator[str]:
    exporters = [(a, mapping(facts)) for a, facts in mapping(status.get("exporters")).items()]
    waiting = [
        (address, sum(number(mapping(s), "waiting_sets") for s in _sessions(facts)))
        for address, facts in exporters
    ]
    waiting = sorted((pair for pair in waiting if pair[1]), key=lambda pair: -pair[1])
    for address, sets in waiting[:_MOST_NAMED]:
        yield f"{_many(sets, 'data set')} of {address} waiting for a template"
    if len(waiting) > _MOST_NAMED:
        yield f"{_many(len(waiting) - _MOST_NAMED, 'other exporter')} waiting for a template"


def _sessions(facts: dict[str, Any]) -> list[Any]:
    return list(mapping(facts.get("sessions")).values())


def _many(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
