"""The collector's figures in a small file that other processes read.

Replaced whole every two seconds, so a reader sees one moment; a file that has not changed for
longer belongs to a collector that hangs or is gone.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from appliance.atomic_files import atomic_write
from appliance.decoding.inspection import field_name
from appliance.decoding.messages.session_numbers import port_of, transport_of
from appliance.decoding.sampling.knowledge import Sampling
from appliance.decoding.templates.template import FieldSpecifier
from appliance.flows import address_text

# Readers of the file, each command among them, do without what a collector is made of.
if TYPE_CHECKING:
    from appliance.collector.counter_handover import CounterHandover
    from appliance.collector.exporter_state import ExporterState, KnownTemplate
    from appliance.collector.exporters import ExporterStates
    from appliance.collector.fair_share import FairShare
    from appliance.collector.pending_sets import MissingTemplate
    from appliance.collector.pipeline import Pipeline
    from appliance.collector.receiver import Receiver
    from appliance.collector.taps import DatagramTaps
    from appliance.collector.tcp.feed import ConnectionFeed
    from appliance.collector.totals_check import TotalsCheck
    from appliance.decoding.templates.timeline import SessionDomain
    from appliance.flowlog import FlowLogWriter
    from appliance.guard import PluginFailures

STATUS_FILE = "collector.json"
LOADER_STATUS_FILE = "loader.json"
POLLER_STATUS_FILE = "poller.json"
"""In the data directory."""

PLUGIN_FAILURES = "plugin_failures"
"""By plugin and part; in the loader's file too."""

TAPS = "taps"
"""By name of a tap and what it counts apart."""

MAX_EXPORTERS_SHOWN = 1024
MAX_SESSIONS_SHOWN = 64
"""Of each exporter: those heard last."""


MAX_TEMPLATES_SHOWN, MAX_ELEMENTS_SHOWN = 16, 32
"""Of each exporter: templates announced last, and those that are missing; unknown elements."""


class StatusSource(Protocol):
    """The parts of a collector that the figures come from."""

    receiver: Receiver
    connections: ConnectionFeed
    pipeline: Pipeline
    states: ExporterStates
    writer: FlowLogWriter
    share: FairShare
    taps: DatagramTaps
    handover: CounterHandover
    failures: PluginFailures
    started_ms: int

    def counters(self) -> dict[str, int]:
        """Return losses that no sequence number shows, since the flow log began."""
        ...


def collector_status(collector: StatusSource, now_ms: int) -> dict[str, Any]:
    """Collect the figures.

    Returns
    -------
    dict
        What JSON knows. Counters of datagrams and records are since the collector's start; losses
        by sequence numbers and the journal's counters since the flow log began.
    """
    receiver, writer, states = collector.receiver, collector.writer, collector.states
    figures = receiver.counters
    elements = states.unknown_elements.most_common()
    return {
        "time_ms": now_ms,
        "started_ms": collector.started_ms,
        "pid": os.getpid(),
        "listen": [str(address) for address in receiver.addresses],
        "receive_buffer_octets": receiver.granted_buffer_octets,
        "warnings": [*receiver.warnings, *collector.connections.listener.acceptor.warnings],
        "connections": collector.connections.figures(),
        "datagrams": figures.datagrams,
        "octets": figures.octets,
        "refused_datagrams": figures.refused_datagrams,
        "truncated_datagrams": figures.truncated_datagrams,
        "lost": sum(sequence.lost for _, sequence in states.scopes()),
        **collector.counters(),
        "log": writer.figures(),
        "counts": {
            **(collector.pipeline.counts + states.counts),
            **collector.handover.figures(),
        },
        PLUGIN_FAILURES: collector.failures.report(),
        "unknown_elements": {_element(e): number for e, number in elements},
        "newcomers": {
            "present": states.n_newcomers,
            "forgotten": states.counts["newcomers_forgotten"],
            "last_forgotten_ms": states.newcomers_forgotten_ms,
        },
        "throttled": {
            "datagrams_waited": collector.share.waited,
            "datagrams_dropped": collector.share.dropped,
            "exporters": {
                address_text(*exporter): {
                    "waited": note.waited,
                    "dropped": note.dropped,
                    "last_ms": note.last_ms,
                }
                for exporter, note in collector.share.throttled.items()
            },
        },
        TAPS: collector.taps.figures(),
        "exporters": exporter_facts(states, now_ms),
    }


def exporter_facts(states: ExporterStates, now_ms: int) -> dict[str, Any]:
    """Collect the figures of each exporter, and of its sessions, by address."""
    return {
        address_text(*exporter): {
            **_exporter(state, now_ms),
            "borrowed_sampling": _sampling(states.borrowed_sampling(exporter)),
        }
        for exporter, state in list(states.exporters.items())[-MAX_EXPORTERS_SHOWN:]
    }


def write_status(path: Path, status: dict[str, Any]) -> None:
    """Replace the file."""
    with atomic_write(path) as file:
        file.write(json.dumps(status).encode())


def read_status(path: Path) -> dict[str, Any] | None:
    """Read the file; None when there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _element(element: tuple[int, int]) -> str:
    return field_name(9 if not element[0] else 10, FieldSpecifier(element[1], 1, element[0]))


def _exporter(state: ExporterState, now_ms: int) -> dict[str, Any]:
    kinds = Counter(kind for session in state.sessions.values() for kind, _ in session.names)
    return {
        "last_seen_ms": state.last_seen_ms,
        "clock_skew_ms": state.skew_ms,
        "templates": len(state.templates),
        "applications": kinds["application"],
        "interfaces": kinds["interface"],
        "waiting_octets": state.waiting_octets,
        "sampling": _sampling(state.sampling()),
        "sessions": _sessions(state, now_ms),
        "known_templates": [
            _known_template(known)
            for known in islice(reversed(state.templates.values()), MAX_TEMPLATES_SHOWN)
        ],
        "missing_templates": [
            _missing_template(missing)
            for missing in state.pending.missing_templates(MAX_TEMPLATES_SHOWN)
        ],
        "unknown_elements": _unknown_elements(state),
        "totals": [_totals(teller, check) for teller, check in state.totals.items()],
        **state.counts,
    }


def _known_template(known: KnownTemplate) -> dict[str, Any]:
    return {
        **_scope(known.scope),
        "id": known.template.template_id,
        "options": known.template.options,
        "fields": len(known.template.fields),
        "announced_ms": known.announced_ms,
    }


def _missing_template(missing: MissingTemplate) -> dict[str, Any]:
    return {
        **_scope(missing.scope),
        "id": missing.template_id,
        "sets": missing.n_sets,
        "octets": missing.octets,
        "since_ms": missing.since_ms,
    }


def _unknown_elements(state: ExporterState) -> list[str]:
    elements = chain.from_iterable(known.unknown_elements for known in state.templates.values())
    return [_element(e) for e in islice(dict.fromkeys(elements), MAX_ELEMENTS_SHOWN)]


def _totals(teller: SessionDomain, check: TotalsCheck) -> dict[str, Any]:
    return {
        **_scope(teller),
        "version": teller.version,
        "since_ms": check.since_ms,
        "reported_ms": check.reported_ms,
        "sent": check.sent,
        "received": check.received,
    }


def _scope(scope: SessionDomain) -> dict[str, int]:
    return {"port": port_of(scope.port), "domain": scope.domain}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    return {
        "by_domain": {str(domain): rate for domain, rate in sampling.by_domain.items()},
        "selectors": len(sampling.by_selector),
        "interfaces": len(sampling.by_interface),
    }


def _sessions(state: ExporterState, now_ms: int) -> dict[str, Any]:
    """Collect the figures of the sessions that no later one has followed, by their numbers."""
    waiting = state.pending.n_waiting()
    announced: dict[int, list[int]] = {}
    for known in state.templates.values():
        announced.setdefault(known.scope.port, []).append(known.announced_ms)
    newest_ms = max((session.first_ms for session in state.sessions.values()), default=0)
    lasting = [(p, s) for p, s in state.sessions.items() if s.last_ms >= newest_ms]
    return {
        str(port): {
            "port": port_of(port),
            "transport": transport_of(port).name.lower(),
            "is_over": session.is_over,
            "version": session.version,
            "first_seen_ms": session.first_ms,
            "last_seen_ms": session.last_ms,
            "flows_per_second": round(session.rate(now_ms), 2),
            "templates": len(announced.get(port, ())),
            "templates_oldest_ms": min(announced.get(port, ()), default=0),
            "waiting_sets": waiting[port],
            "sampling": _sampling(sampling := state.sampling(port)),
            "sampling_rate": session.sampling_rate,
            "clock_skew_ms": session.clock_skew_ms,
            "restart_ms": session.restart_ms,
            "longest_usual_ms": session.durations and session.durations.longest_usual_ms,
            "exporters": [address_text(*halves) for halves in sampling.exporters],
            **session.counts,
        }
        for port, session in lasting[-MAX_SESSIONS_SHOWN:]
    }
