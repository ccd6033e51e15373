"""What this collector and others learned of exporters whose datagrams come to them in turns.

Plugins' files carry templates and sampling (`TemplateFile`). What this collector heard itself goes
first; of what others heard, only that serves on which all agree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from appliance.collector.exporter_state import ExporterState
from appliance.collector.exporters import ExporterStates
from appliance.collector.saved_state import save_templates
from appliance.contracts import SavedApplication, SavedSampling, SavedTemplate, TemplateFile
from appliance.contracts.template_files import SAMPLED_KINDS
from appliance.decoding.messages.session_numbers import is_connection, port_of
from appliance.decoding.results import Exporter
from appliance.decoding.sampling.knowledge import ANY_DOMAIN, MAX_SUBJECTS, Sampling, Subject
from appliance.decoding.templates.template import Template
from appliance.decoding.templates.timeline import Family
from appliance.errors import StorageError
from appliance.flows import address_halves, address_text
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

T = TypeVar("T")


class OtherCollectors:
    """Reads what others learned, and writes what they may borrow.

    Parameters
    ----------
    states
        Gets what others agree on.
    """

    def __init__(self, states: ExporterStates, files: Sequence[TemplateFile]) -> None:
        self._states, self._files = states, files
        self._templates: dict[str, list[SavedTemplate]] = {}
        self._sampling: dict[str, list[SavedSampling]] = {}

    def read(self) -> None:
        """Take over what other collectors learned, where it is news."""
        has_templates = has_sampling = False
        for file in self._files:
            if (templates := _without_error(file.read_others)) is not None:
                self._templates[file.name], has_templates = templates, True
            if (sampling := _without_error(file.read_sampling_of_others)) is not None:
                self._sampling[file.name], has_sampling = sampling, True
        if has_templates:
            all_templates = chain.from_iterable(self._templates.values())
            self._states.templates_of_others = agreed_templates(all_templates)
        if has_sampling:
            all_sampling = chain.from_iterable(self._sampling.values())
            self._states.sampling_of_others = agreed_sampling(all_sampling)

    def write(self) -> None:
        """Write what this collector knows."""
        if not self._files:
            return
        sampling, names = list(told_sampling(self._states)), list(told_applications(self._states))
        for file in self._files:
            try:
                save_templates(self._states, file)
                file.write_sampling(sampling)
                file.write_applications(names)
            except StorageError as error:
                log.warning("%s", error)


def agreed_templates(saved: Iterable[SavedTemplate]) -> dict[tuple[Family, int], Template]:
    """Return templates by family and identifier, but for those on which collectors differ."""
    agreed: dict[tuple[Family, int], Template | None] = {}
    for address, domain, version, template in saved:
        key = (*address_halves(address), domain, version), template.template_id
        agreed[key] = template if agreed.get(key, template) == template else None
    return {key: template for key, template in agreed.items() if template is not None}


def agreed_sampling(saved: Iterable[SavedSampling]) -> dict[tuple[Exporter, int], Sampling]:
    """Return sampling by exporter and protocol version, but for that on which collectors differ.

    Of one exporter no more subjects are taken than a session may tell.
    """
    rates: dict[tuple[Exporter, int], dict[Subject, float | None]] = {}
    for address, domain, version, kind, number, rate in saved:
        of_exporter = rates.setdefault((address_halves(address), version), {})
        subject = Subject(kind, domain, number)
        if subject in of_exporter or len(of_exporter) < MAX_SUBJECTS:
            of_exporter[subject] = rate if of_exporter.get(subject, rate) == rate else None
    return {key: Sampling(_known(of_exporter)) for key, of_exporter in rates.items()}


def told_sampling(states: ExporterStates) -> Iterator[SavedSampling]:
    """Yield the rates that options records told, but for those on which sessions differ.

    Two devices may stand behind one address. Where one session told something else than another,
    it must have ended before the other one began, as with an exporter that has restarted.
    """
    for exporter, state in states.exporters.items():
        told: dict[tuple[int, Subject], list[tuple[int, float]]] = {}
        for (version, port), sampling in state.sampling_of.items():
            if not is_connection(port):
                for subject, rate in sampling.told.items():
                    if subject.kind in SAMPLED_KINDS and subject.domain != ANY_DOMAIN:
                        told.setdefault((version, subject), []).append((port, rate))
        address = address_text(*exporter)
        for (version, subject), by_port in told.items():
            agreed = _rate_of_sessions(state, by_port)
            if agreed is not None:
                kind, domain, number = subject
                yield SavedSampling(address, domain, version, kind, number, float(agreed))


def told_applications(states: ExporterStates) -> Iterator[SavedApplication]:
    """Yield the names of applications that options records told, of each session."""
    for exporter, state in states.exporters.items():
        address = address_text(*exporter)
        for number, session in state.sessions.items():
            for (kind, application), (name, _) in session.names.items():
                if kind == "application" and name:
                    yield SavedApplication(address, port_of(number), application, name)


def _rate_of_sessions(state: ExporterState, by_port: Sequence[tuple[int, float]]) -> float | None:
    """Return what the session said that began last, unless another one contradicts it."""
    if len({rate for _, rate in by_port}) == 1:
        return by_port[0][1]
    heard = [(state.sessions[port], rate) for port, rate in by_port if port in state.sessions]
    if not heard:
        return None
    newest, told = max(heard, key=lambda one: one[0].first_ms)
    rivals = (one for one, rate in heard if rate != told and one.last_ms >= newest.first_ms)
    return None if any(True for _ in rivals) else told


def _known(rates: dict[Subject, float | None]) -> dict[Subject, float]:
    return {subject: rate for subject, rate in rates.items() if rate is not None}


def _without_error(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except StorageError as error:
        log.warning("%s", error)
        return None
