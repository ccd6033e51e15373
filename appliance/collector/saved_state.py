"""Templates, sampling and names in a file, so that a restart loses no flow for want of a template.

The file is read as untrusted: what does not fit is left out and counted, and never keeps the
collector from starting. Sequence numbers are not here; they are stored with the flow log, beside
the records that they count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.collector.exporter_state import ExporterState, KnownTemplate
from appliance.collector.exporters import ExporterStates
from appliance.contracts import SavedTemplate, TemplateFile
from appliance.decoding.messages.session_numbers import is_connection
from appliance.decoding.results import NameFact
from appliance.decoding.sampling.knowledge import (
    ANY_DOMAIN,
    SamplingFact,
    Subject,
    with_facts,
)
from appliance.decoding.templates.saved import template_from_saved, whole_number
from appliance.decoding.templates.template import Template
from appliance.decoding.templates.timeline import Session, SessionDomain, TemplateChange
from appliance.flows import address_halves, address_text

VERSION = 2
_READABLE = (1, VERSION)
"""Version 1 had the sampling and names of an exporter in one, whatever the session."""
MAX_FILE_OCTETS = 256_000_000


def save_states(states: ExporterStates, path: Path) -> None:
    """Write what is known of all exporters."""
    text = json.dumps({"version": VERSION, "exporters": list(_exporters(states))})
    with atomic_write(path, durable=True) as file:
        file.write(text.encode())


def load_states(states: ExporterStates, path: Path, now_ms: int) -> int:
    """Learn what a file says.

    Returns
    -------
    int
        How many pieces were unreadable; 1 for a file that is unreadable as a whole, 0 for one
        that does not exist.
    """
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            return 1
        found = json.loads(path.read_text(encoding="utf-8"))
        exporters = found["exporters"]
        if found["version"] not in _READABLE or not isinstance(exporters, list):
            return 1
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 1
    bad = sum(_learn_exporter(states, exporter, now_ms) for exporter in exporters)
    _settle(states)
    return bad


def save_templates(states: ExporterStates, file: TemplateFile) -> None:
    """Write the newest templates of all exporters to a file of a plugin.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    newest = (known for state in states.exporters.values() for known in state.newest)
    file.write(
        [
            SavedTemplate(
                address_text(*known.scope.exporter),
                *(known.scope.domain, known.scope.version, known.template),
            )
            for known in newest
        ]
    )


def load_templates(states: ExporterStates, file: TemplateFile, now_ms: int) -> int:
    """Learn the templates of a plugin's file that are not known yet.

    Returns
    -------
    int
        How many of its entries were unreadable.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    found, unusable = file.read()
    unknown: dict[tuple[SessionDomain, int], Template] = {}
    for saved in found:
        # Such a file does not tell the sessions of an exporter apart, so there is no port.
        scope = SessionDomain(*address_halves(saved.address), 0, saved.domain, saved.version)
        template_id = saved.template.template_id
        known = states.exporters.get(scope.exporter)
        if known is None or (scope.family, template_id) not in known.tellers:
            unknown[scope, template_id] = saved.template
    for (scope, _), template in unknown.items():
        states.learn_template(TemplateChange(scope, template, 0), now_ms)
    _settle(states)
    return unusable


def _settle(states: ExporterStates) -> None:
    """Keep to the limits; nothing of what was loaded is news."""
    states.make_room()
    states.appeared.clear()
    states.counts.clear()


def _exporters(states: ExporterStates) -> Iterator[dict[str, Any]]:
    for exporter, state in states.exporters.items():
        yield {
            **({"newcomer": True} if state.newcomer else {}),
            "address": address_text(*exporter),
            # What a connection told ends with it, and it ends with this process.
            "templates": [
                _template(known)
                for known in state.templates.values()
                if not known.scope.is_connection
            ],
            "sessions": [
                _session(state, port) for port in state.sessions if not is_connection(port)
            ],
        }


def _session(state: ExporterState, port: int) -> dict[str, Any]:
    session = state.sessions[port]
    return {
        "port": port,
        "first_ms": session.first_ms,
        "last_ms": session.last_ms,
        "sampling": [
            [version, *subject, value]
            for (version, of_port), sampling in state.sampling_of.items()
            if of_port == port
            # What was told last, whatever the domain, is learned last again.
            for subject, value in sorted(sampling.told.items(), key=_general_last)
        ],
        "names": [[*key, *names] for key, names in session.names.items()],
    }


def _general_last(item: tuple[Subject, float]) -> bool:
    return item[0].domain == ANY_DOMAIN


def _template(known: KnownTemplate) -> dict[str, Any]:
    template = known.template
    return {
        "version": known.scope.version,
        "port": known.scope.port,
        "domain": known.scope.domain,
        "id": template.template_id,
        "options": template.options,
        "scope_count": template.scope_count,
        "fields": [list(field) for field in template.fields],
        "announced_ms": known.announced_ms,
    }


def _learn_exporter(states: ExporterStates, found: Any, now_ms: int) -> int:
    """Learn one exporter; return how many of its pieces were unreadable."""
    bad = 0
    try:
        hi, lo = _address(found["address"])
    except (KeyError, TypeError, ValueError):
        return 1

    exporter = (hi, lo)
    newcomer = found.get("newcomer") is True
    if newcomer:
        states.open(exporter, now_ms)  # It is new from now on, whenever it announced what follows.
    # Version 1 did not tell sessions apart: what it says is of one that was never heard.
    former = {name: found[name] for name in ("sampling", "names") if name in found}
    bad = _learn_session(states, exporter, {"port": 0, **former}, now_ms) if former else 0
    bad += _learn_each(found, "sessions", lambda s: _learn_session(states, exporter, s, now_ms))
    bad += _learn_each(found, "templates", lambda t: _learn_template(states, exporter, t, now_ms))
    if not newcomer:
        states.know(exporter)
    return bad


def _learn_each(holder: Any, name: str, learn: Callable[[Any], int | None]) -> int:
    """Learn each piece of a list; return how many were unreadable."""
    pieces, bad = holder.get(name, []), 0
    for piece in pieces if isinstance(pieces, list) else [None]:
        try:
            bad += learn(piece) or 0
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            bad += 1
    return bad


def _learn_session(
    states: ExporterStates, exporter: tuple[int, int], piece: Mapping[str, Any], now_ms: int
) -> int:
    session = (*exporter, whole_number(piece["port"], 1 << 16))
    first_ms, last_ms = (
        min(whole_number(piece.get(name, 0), 1 << 62), now_ms) for name in ("first_ms", "last_ms")
    )
    # Nobody listened since the file was written, so silence counts from now.
    states.open_session(session, first_ms, last_ms).restored_ms = now_ms if last_ms else 0
    told: dict[int, list[SamplingFact]] = {}
    bad = _learn_each(piece, "sampling", lambda fact: _note_sampling(told, fact))
    for version, facts in told.items():
        after = with_facts(states.sampling(session, version), facts)
        states.learn_sampling(session, version, after, now_ms)
    return bad + _learn_each(
        piece, "names", lambda name: _learn_name(states, session, name, now_ms)
    )


def _address(text: Any) -> tuple[int, int]:
    if not isinstance(text, str):
        raise TypeError(text)
    return address_halves(text)


def _learn_template(
    states: ExporterStates, exporter: tuple[int, int], piece: Mapping[str, Any], now_ms: int
) -> None:
    template = template_from_saved(
        *(piece["id"], piece["fields"], piece["scope_count"]), options=piece["options"] is True
    )
    port, domain = whole_number(piece["port"], 1 << 16), whole_number(piece["domain"], 1 << 32)
    scope = SessionDomain(*exporter, port, domain, whole_number(piece["version"], 1 << 16))
    states.open_session(scope.session, now_ms, now_ms)
    announced = min(whole_number(piece["announced_ms"], 1 << 62), now_ms)
    states.learn_template(TemplateChange(scope, template, 0), announced)


def _note_sampling(told: dict[int, list[SamplingFact]], piece: list[Any]) -> None:
    version, kind, domain, number, value = piece
    if kind not in ("selector", "interface", "domain", "init", "exporter"):
        raise ValueError(kind)
    if kind == "exporter":
        whole_number(value, 1 << 128, 1)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1 << 62:
        raise ValueError(value)
    subject = Subject(
        kind, whole_number(domain, 1 << 32, ANY_DOMAIN), whole_number(number, 1 << 64)
    )
    told.setdefault(whole_number(version, 1 << 16), []).append(SamplingFact(subject, value))


def _learn_name(states: ExporterStates, session: Session, piece: list[Any], now_ms: int) -> None:
    kind, number, name, description = piece
    if kind not in ("application", "interface"):
        raise ValueError(kind)
    if not (isinstance(name, str) and isinstance(description, str)):
        raise TypeError(name)
    fact = NameFact(session, kind, whole_number(number, 1 << 64), _text(name), _text(description))
    states.learn_name(fact, now_ms)


def _text(value: str) -> str:
    """Return a text that every destination can store: JSON also knows halves of characters."""
    return value[:256].encode("utf-8", "replace").decode("utf-8")
