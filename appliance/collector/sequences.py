"""Sequence numbers as they are stored in the journal, beside the records that they count.

The journal commits records and numbers together, so after a crash the numbers stand exactly behind
the last record that was kept; what the exporter sent since shows as a gap and is counted as lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.collector.exporters import ExporterStates
from appliance.decoding.sequences.sequence_state import SequenceState
from appliance.decoding.templates.timeline import SessionDomain
from appliance.flows import address_halves, address_text

_PREFIX = "sequence "
_FIELDS = ("expected", "last", "uptime_ms", "export_ms", "lost", "datagrams", "restarts", "late")
"""What is stored; habits of an exporter are learned again."""

_LARGEST = 1 << 62


def sequence_changes(states: ExporterStates) -> dict[str, Any]:
    """Return the scopes that changed since the last call, as keys and values for the journal.

    A connection ends with this process, and its numbers with it: there is nothing to restore.
    """
    changed, forgotten = (
        [scope for scope in scopes if not scope.is_connection] for scopes in states.take_changes()
    )
    changes: dict[str, Any] = dict.fromkeys(map(_key, forgotten))
    for scope in changed:
        state = states.sequence(scope)
        changes[_key(scope)] = [getattr(state, name) for name in _FIELDS]
    return changes


def restore_sequences(
    states: ExporterStates, saved: Mapping[str, Any], now_ms: int
) -> dict[str, int]:
    """Take over what a former collector stored; what cannot be read is left out.

    Returns
    -------
    dict
        Its cumulative counters.
    """
    for key, values in saved.items():
        if key.startswith(_PREFIX) and values is not None:
            try:
                scope, sequence = _scope(key), _sequence(values)
            except (ValueError, TypeError):
                continue
            states.restore_sequence(scope, sequence, now_ms)
    states.take_changes()
    states.appeared.clear()
    counters = saved.get("counters")
    if not isinstance(counters, dict):
        return {}
    return {name: n for name, n in counters.items() if isinstance(n, int) and n >= 0}


def _key(scope: SessionDomain) -> str:
    address = address_text(*scope.exporter)
    return f"{_PREFIX}{address} {scope.port} {scope.domain} {scope.version}"


def _scope(key: str) -> SessionDomain:
    address, *numbers = key.removeprefix(_PREFIX).split(" ")
    port, domain, version = (int(number) for number in numbers)
    return SessionDomain(*address_halves(address), port, domain, version)


def _sequence(values: list[Any]) -> SequenceState:
    if len(values) != len(_FIELDS):
        raise ValueError(values)
    expected, *rest = values
    for value in (0 if expected is None else expected, *rest):
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
            raise ValueError(value)
    return SequenceState(expected, *rest)
