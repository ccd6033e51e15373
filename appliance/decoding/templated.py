"""Decoding of blocks of template-based messages: the part that NetFlow v9 and IPFIX share.

The way of a block: headers, Sets, templates in the order in which they came, the layout of every
Data Set, records of one layout together, options records first (they tell the sampling of the
flows that follow), columns. The result is what decoding the datagrams one by one would have
given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns import Columns, compact, flow_columns, octet_columns, option_columns
from appliance.decoding.groups import Arrivals, RecordGroup
from appliance.decoding.option_facts import Facts, after_fact, collect_facts
from appliance.decoding.results import (
    DecodeOptions,
    DecodeResult,
    DecoderState,
    Element,
    WaitingSet,
)
from appliance.decoding.sampling import SamplingTimelines, SetContext, boot_times, record_rates
from appliance.decoding.scopes import Traffic, find_restarts, find_scopes, next_sequences, tally
from appliance.flows import FlowBatch
from appliance.information_elements import element_by_id
from appliance.wire.block import DatagramBlock
from appliance.wire.message import Fault, Headers, Sets, walk_sets
from appliance.wire.plan import (
    CarefulRecords,
    CutRecord,
    DecodePlan,
    Records,
    careful_records,
    fixed_records,
    plan_of,
)
from appliance.wire.sequence import UNKNOWN_UNITS
from appliance.wire.template import (
    REVERSE_PEN,
    V9_SCOPE,
    FieldSpecifier,
    Refusal,
    Template,
    Withdrawal,
    read_template_set,
)
from appliance.wire.timeline import (
    Assignment,
    Scope,
    TemplateChange,
    Timelines,
    assign_templates,
)

Int = NDArray[np.int64]

MAX_CAREFUL_RECORDS = 8192
"""Records of variable length that are taken from one Set; the rest is dropped and counted."""

LYING = frozenset({"template_length", "template_too_long", "record_cut"})
"""Faults that contradict the lengths of their message; in the Set headers they show before."""

_LONG_PADDING = 7
_MAX_ATTEMPTS = 8
_UNCOUNTABLE = -(1 << 40)


@dataclass(frozen=True)
class TemplatedProtocol:
    """In what NetFlow v9 and IPFIX differ.

    Attributes
    ----------
    header_octets
        Size of the message header.
    drops_whole
        A message with lying lengths is dropped whole (RFC 7011 section 9.1), not kept up to the
        lie.
    zero_set_ends
        A zero Set header ends the message.
    counts_records
        Sequence numbers count Data Records, else messages.
    window_units
        How far back a sequence number can be without being a restart.
    """

    version: int
    header_octets: int
    read_headers: Callable[[DatagramBlock], Headers]
    template_set: int
    options_set: int
    drops_whole: bool
    zero_set_ends: bool
    counts_records: bool
    window_units: int


class Found(NamedTuple):
    """Headers and Sets of a block; `dropped` are the datagrams that are taken for nothing.

    They show as a gap in the sequence numbers, so their records are counted as lost.
    """

    headers: Headers
    sets: Sets
    dropped: set[int]


@dataclass(frozen=True, slots=True)
class Section:
    """Data Sets in one piece of memory: those of the block, or those that had been waiting.

    Attributes
    ----------
    starts, lengths, arrival, scope, order
        int64, shape (n_sets,): body in `flat`, its octets, message, scope and order of each Set.
    template
        int64, shape (n_sets,): index into `templates`.
    """

    flat: NDArray[np.uint8]
    templates: list[Template]
    template: Int
    starts: Int
    lengths: Int
    arrival: Int
    scope: Int
    order: Int
    template_ids: Int
    offsets: Int


@dataclass
class Work:
    """One attempt at a block."""

    block: DatagramBlock
    protocol: TemplatedProtocol
    options: DecodeOptions
    state: DecoderState
    headers: Headers
    sets: Sets
    scopes: list[Scope]
    scope_of: Int
    arrivals: Arrivals
    result: DecodeResult
    unit_counts: Int
    timelines: Timelines = field(default_factory=Timelines)


def decode_templated(
    block: DatagramBlock,
    protocol: TemplatedProtocol,
    state: DecoderState,
    options: DecodeOptions,
) -> DecodeResult:
    """Decode a block of datagrams of one version."""
    headers = protocol.read_headers(block)
    sets = walk_sets(
        block, protocol.header_octets, headers.end, zero_set_ends=protocol.zero_set_ends
    )
    faults = [*headers.faults, *sets.faults]
    dropped = {fault.datagram for fault in sets.faults} if protocol.drops_whole else set()
    for _ in range(_MAX_ATTEMPTS):
        found = Found(headers, _without(sets, dropped), dropped)
        work = _attempt(block, protocol, found, state, options)
        lies = {f.datagram for f in work.result.faults if f.reason in LYING} - dropped
        if not (protocol.drops_whole and lies):
            break
        # Only decoding showed that these messages lie: once more without them.
        faults += [f for f in work.result.faults if f.datagram in lies]
        dropped |= lies
    work.result.faults = sorted({*faults, *work.result.faults})
    _count_sequences(work)
    return work.result


def _without(sets: Sets, dropped: set[int]) -> Sets:
    if not dropped:
        return sets
    kept = ~np.isin(sets.datagram, list(dropped))
    return Sets(
        sets.datagram[kept], sets.set_id[kept], sets.offset[kept], sets.length[kept], sets.faults
    )


def _attempt(
    block: DatagramBlock,
    protocol: TemplatedProtocol,
    found: Found,
    state: DecoderState,
    options: DecodeOptions,
) -> Work:
    headers, sets = found.headers, found.sets
    usable = headers.end > 0
    usable[list(found.dropped)] = False
    scopes, scope_of = find_scopes(block, headers.domain, usable)
    arrivals = Arrivals(
        block.address_hi,
        block.address_lo,
        block.port,
        block.received_ms,
        headers.domain,
        headers.sequence,
        headers.export_ms,
        headers.uptime_ms,
    )
    units = np.zeros(len(block), np.int64)
    work = Work(
        block, protocol, options, state, headers, sets, scopes, scope_of, arrivals,
        DecodeResult(), units,
    )  # fmt: skip
    traffic = Traffic(scopes, scope_of, headers)
    restarts = find_restarts(traffic, state, protocol.window_units)
    work.result.restarted = list(restarts)
    # Restarts are found by datagram; Sets are what positions count.
    work.timelines.restarts = {
        scope: np.searchsorted(sets.datagram, rows).tolist() for scope, rows in restarts.items()
    }
    _read_templates(work)
    set_scope = scope_of[sets.datagram]
    assignment = assign_templates(sets, set_scope, scopes, work.timelines, state)
    _decode_sections(work, [_block_section(work, assignment, set_scope), *_released(work)])
    _keep_unknown(work, assignment)
    return work


def _read_templates(work: Work) -> None:
    """Read template Sets in order; count the reserved ones."""
    protocol, sets, result = work.protocol, work.sets, work.result
    for position in np.flatnonzero(sets.set_id < 256).tolist():
        set_id, row = int(sets.set_id[position]), int(sets.datagram[position])
        if set_id not in (protocol.template_set, protocol.options_set):
            result.counts["reserved_set"] += 1
            continue
        at = int(sets.offset[position])
        body = work.block.octets[row, at : at + int(sets.length[position])].tobytes()
        options = set_id == protocol.options_set
        scope = work.scopes[work.scope_of[row]]
        for found in read_template_set(memoryview(body), options=options, version=protocol.version):
            _note_template(work, scope, found, (row, position))


def _note_template(
    work: Work, scope: Scope, found: Template | Withdrawal | Refusal, where: tuple[int, int]
) -> None:
    row, position = where
    if isinstance(found, Withdrawal):
        # RFC 7011 section 8.4: over UDP templates are not withdrawn.
        work.result.counts["template_withdrawal_ignored"] += 1
    elif isinstance(found, Refusal):
        work.result.faults.append(Fault(row, found.reason, found.detail))
    else:
        change = TemplateChange(scope, _renamed(work, scope, found), position)
        work.timelines.add(change)
        work.result.templates.append(change)


def _renamed(work: Work, scope: Scope, template: Template) -> Template:
    names = work.options.renamed.get(scope.exporter)
    if not names:
        return template
    fields = []
    for f in template.fields:
        enterprise, element = names.get((f.enterprise, f.element), (f.enterprise, f.element))
        fields.append(FieldSpecifier(element, f.length, enterprise))
    return replace(template, fields=tuple(fields))


def _block_section(work: Work, assignment: Assignment, set_scope: Int) -> Section:
    known = np.flatnonzero(assignment.template >= 0)
    for word, number in (("borrowed", assignment.borrowed), ("late", assignment.late)):
        if number:
            work.result.counts[f"sets_{word}"] += number
    sets, stride = work.sets, work.block.octets.shape[1]
    return Section(
        work.block.octets.reshape(-1),
        assignment.templates,
        assignment.template[known],
        sets.datagram[known] * stride + sets.offset[known],
        sets.length[known],
        sets.datagram[known],
        set_scope[known],
        assignment.order[known],
        sets.set_id[known],
        sets.offset[known],
    )


def _released(work: Work) -> list[Section]:
    """Decode the Sets of earlier blocks whose template came in this one."""
    found: list[tuple[WaitingSet, Template, int]] = []
    for family, template_id in work.timelines.changes:
        for waiting in work.state.waiting(family, template_id):
            epochs = work.timelines.epochs(work.state, waiting.scope, template_id)
            ready = next(epoch for epoch in epochs if epoch.template is not None)
            work.result.released.append(waiting)
            if work.timelines.restarted_between(waiting.scope, -2, ready.position):
                work.result.counts["waiting_sets_given_up"] += 1
            elif ready.template is not None:
                found.append((waiting, ready.template, 2 * ready.position + 1))
    if not found:
        return []
    work.result.counts["sets_late"] += len(found)
    return [_waiting_section(work, found)]


def _waiting_section(work: Work, found: list[tuple[WaitingSet, Template, int]]) -> Section:
    first = len(work.arrivals.sequence)
    work.arrivals = _with_arrivals(work.arrivals, [waiting for waiting, _, _ in found])
    flat = np.frombuffer(b"".join(w.body for w, _, _ in found), np.uint8)
    lengths = np.array([len(w.body) for w, _, _ in found], np.int64)
    scopes = {scope: number for number, scope in enumerate(work.scopes)}
    for waiting, _, _ in found:
        if waiting.scope not in scopes:
            scopes[waiting.scope] = len(work.scopes)
            work.scopes.append(waiting.scope)
    return Section(
        flat,
        [template for _, template, _ in found],
        np.arange(len(found), dtype=np.int64),
        np.cumsum(lengths) - lengths,
        lengths,
        first + np.arange(len(found), dtype=np.int64),
        np.array([scopes[w.scope] for w, _, _ in found], np.int64),
        np.array([order for _, _, order in found], np.int64),
        np.array([w.set_id for w, _, _ in found], np.int64),
        np.full(len(found), -1, np.int64),
    )


def _with_arrivals(arrivals: Arrivals, waiting: list[WaitingSet]) -> Arrivals:
    def longer(values: NDArray[Any], more: Iterable[int]) -> NDArray[Any]:
        return np.concatenate([values, np.array(list(more), values.dtype)])

    return Arrivals(
        longer(arrivals.address_hi, (w.scope.address_hi for w in waiting)),
        longer(arrivals.address_lo, (w.scope.address_lo for w in waiting)),
        longer(arrivals.port, (w.scope.port for w in waiting)),
        longer(arrivals.received_ms, (w.received_ms for w in waiting)),
        longer(arrivals.domain, (w.scope.domain for w in waiting)),
        longer(arrivals.sequence, (w.sequence for w in waiting)),
        longer(arrivals.export_ms, (w.export_ms for w in waiting)),
        longer(arrivals.uptime_ms, (w.uptime_ms for w in waiting)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Records of one layout of one section."""

    group: RecordGroup
    context: SetContext


def _decode_sections(work: Work, sections: list[Section]) -> None:
    parts = [part for section in sections for part in _parts(work, section)]
    sampling = SamplingTimelines(work.options)
    for scope in work.scopes:
        sampling.known.setdefault(scope.exporter, [(-2, work.state.sampling(scope.exporter))])
    facts: Facts = []
    for part in parts:
        if part.group.plan.options:
            facts += collect_facts(part.group, part.context)
    work.result.names += [fact.name for fact in facts if fact.name is not None]
    _learn(work, facts, sampling)
    work.result.arrivals = work.arrivals
    for part in parts:
        if part.group.n_records:
            _append_batches(work, part, sampling)


def _learn(work: Work, facts: Facts, sampling: SamplingTimelines) -> None:
    for fact in sorted(facts, key=lambda f: f.order):
        before = sampling.known[fact.exporter][-1][1]
        after = after_fact(before, fact)
        if after is not before:
            sampling.known[fact.exporter].append((fact.order[0], after))
            work.result.sampling[fact.exporter] = after


def _parts(work: Work, section: Section) -> list[_Part]:
    plans: dict[DecodePlan, list[int]] = {}
    for number, template in enumerate(section.templates):
        plan = plan_of(
            work.protocol.version, template.fields, template.scope_count, template.options
        )
        plans.setdefault(plan, []).append(number)
    parts = []
    for plan, numbers in plans.items():
        if len(plans) == 1:
            rows = np.arange(len(section.template))
        elif len(numbers) == 1:
            rows = np.flatnonzero(section.template == numbers[0])
        else:
            rows = np.flatnonzero(np.isin(section.template, numbers))
        parts.append(_part(work, section, plan, rows))
    return parts


def _part(work: Work, section: Section, plan: DecodePlan, rows: NDArray[np.intp]) -> _Part:
    starts, lengths = section.starts[rows], section.lengths[rows]
    arrival = section.arrival[rows]
    records: Records
    if plan.is_variable:
        records, counts = _careful(work, plan, section.flat, (starts, lengths, arrival))
    else:
        records, counts = fixed_records(plan, section.flat, starts, lengths)
        if ((lengths - counts * plan.minimum_length) > _LONG_PADDING).any():
            work.result.counts["long_padding"] += 1
    _count_units(work, section, rows, counts)
    for name in _unknown_elements(plan):
        work.result.unknown_elements[name] += records.n_records
    context = SetContext(work.scopes, section.scope[rows], section.order[rows])
    identifiers = section.template_ids[rows]
    offsets = section.offsets[rows]
    group = RecordGroup(plan, records, work.arrivals, arrival, counts, identifiers, offsets)
    return _Part(group, context)


def _count_units(work: Work, section: Section, rows: NDArray[np.intp], counts: Int) -> None:
    """Add up the records of each datagram, as far as they were decodable when it came."""
    arrival, order = section.arrival[rows], section.order[rows]
    own = arrival < len(work.unit_counts)
    np.add.at(work.unit_counts, arrival[own], counts[own])
    waited = own & (order % 2 == 1)
    if waited.any():
        later = work.sets.datagram[order[waited] // 2] != arrival[waited]
        work.unit_counts[arrival[waited][later]] = _UNCOUNTABLE


@lru_cache(maxsize=4096)
def _unknown_elements(plan: DecodePlan) -> tuple[Element, ...]:
    return tuple(
        (f.enterprise, f.element)
        for f in plan.fields
        if f.enterprise != V9_SCOPE
        and element_by_id(0 if f.enterprise == REVERSE_PEN else f.enterprise, f.element) is None
    )


def _careful(
    work: Work, plan: DecodePlan, flat: NDArray[np.uint8], where: tuple[Int, Int, Int]
) -> tuple[Records, Int]:
    records: list[list[bytes]] = []
    counts = []
    for start, length, arrival in zip(*(a.tolist() for a in where), strict=True):
        body = memoryview(flat[start : start + length].tobytes())
        try:
            found, padding = careful_records(plan, body, MAX_CAREFUL_RECORDS)
        except CutRecord as error:
            found, padding = error.partial, 0
            if arrival < len(work.unit_counts):
                work.result.faults.append(Fault(arrival, error.reason, error.detail))
        if padding > _LONG_PADDING:
            work.result.counts["long_padding"] += 1
        records += found
        counts.append(len(found))
    return CarefulRecords(plan, records), np.array(counts, np.int64)


def _append_batches(work: Work, part: _Part, sampling: SamplingTimelines) -> None:
    group = part.group
    if group.plan.options:
        tally(work.result, group, work.scopes, part.context.scope)
        _append(work, group, option_columns(group), None)
        return
    group = replace(
        group,
        sampling=record_rates(group, part.context, sampling),
        init_ms=boot_times(group, part.context, sampling) if group.plan.version == 10 else None,
    )
    tally(work.result, group, work.scopes, part.context.scope)
    halves = flow_columns(group)
    _append(work, group, halves.forward, None)
    if halves.reverse is not None and halves.reverse_rows is not None and len(halves.reverse_rows):
        _append(work, group, halves.reverse, halves.reverse_rows)


def _append(
    work: Work, group: RecordGroup, columns: Columns, rows: NDArray[np.intp] | None
) -> None:
    octets = octet_columns(group, work.options.raw_elements)
    datagrams = np.repeat(group.arrival, group.counts)
    if rows is not None:
        octets = {name: values[rows] for name, values in octets.items()}
        datagrams = datagrams[rows]
    n_records = group.n_records if rows is None else len(rows)
    batch = FlowBatch(n_records, compact(columns), octets, group.plan.options, datagrams)
    work.result.batches.append(batch)
    work.result.groups.append(group)


def _keep_unknown(work: Work, assignment: Assignment) -> None:
    """Keep Data Sets whose template may still come, unless their exporter restarted since."""
    sets = work.sets
    for position in np.flatnonzero(assignment.unknown).tolist():
        row = int(sets.datagram[position])
        scope = work.scopes[work.scope_of[row]]
        work.unit_counts[row] = _UNCOUNTABLE
        work.result.counts["sets_without_template"] += 1
        if work.timelines.restarted_between(scope, position, len(sets.set_id)):
            work.result.counts["waiting_sets_given_up"] += 1
            continue
        at, headers = int(sets.offset[position]), work.headers
        work.result.waiting.append(
            WaitingSet(
                scope,
                int(sets.set_id[position]),
                work.protocol.version,
                work.block.octets[row, at : at + int(sets.length[position])].tobytes(),
                int(work.block.received_ms[row]),
                int(headers.sequence[row]),
                int(headers.export_ms[row]),
                int(headers.uptime_ms[row]),
            )
        )


def _count_sequences(work: Work) -> None:
    if work.protocol.counts_records:
        units = np.where(work.unit_counts < 0, UNKNOWN_UNITS, work.unit_counts)
    else:
        units = np.ones(len(work.block), np.int64)
    traffic = Traffic(work.scopes, work.scope_of, work.headers)
    window = work.protocol.window_units
    work.result.sequences = next_sequences(traffic, units, work.state, window)
