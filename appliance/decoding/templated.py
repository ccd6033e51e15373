"""Decoding of blocks of template-based messages: the part that NetFlow v9 and IPFIX share.

The way of a block: headers, Sets, templates in the order in which they came, the layout of every
Data Set, records of one layout together, options records first (they tell the sampling of the
flows that follow), columns. The result is what decoding the datagrams one by one would have
given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.columns.identity import exporter_addresses
from appliance.decoding.columns.mapping import (
    Columns,
    compact,
    flow_columns,
    header_columns,
    octet_columns,
    option_columns,
)
from appliance.decoding.costs import LayoutSets, check_layouts, check_templates, drop_excess_layouts
from appliance.decoding.export_totals import BlockArrivals, report_totals
from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault
from appliance.decoding.messages.headers import Headers, Sets, walk_sets
from appliance.decoding.records.fixed_records import fixed_records
from appliance.decoding.records.groups import Arrivals, RecordGroup
from appliance.decoding.records.scalar_records import CutRecord, ScalarRecords, scalar_records
from appliance.decoding.records.sections import block_section, release_sections
from appliance.decoding.results import (
    DecodeOptions,
    DecodeResult,
    DecoderState,
    WaitingSet,
)
from appliance.decoding.sampling.knowledge import Learning
from appliance.decoding.sampling.option_records import collect_facts
from appliance.decoding.sampling.rates import (
    Moments,
    SamplingTimelines,
    SetContext,
    boot_times,
    record_rates,
    set_moments,
)
from appliance.decoding.sequences.sequence_state import UNKNOWN_UNITS
from appliance.decoding.sequences.session_domains import (
    Traffic,
    count_octets,
    find_restarts,
    find_scopes,
    next_sequences,
    senders_of,
    tally,
)
from appliance.decoding.templates.announcements import read_templates
from appliance.decoding.templates.decode_plan import DecodePlan, Records, plan_of
from appliance.decoding.templates.timeline import Assignment, Timelines, assign_templates
from appliance.decoding.work import (
    MAX_SCALAR_RECORDS,
    UNCOUNTABLE,
    Int,
    Section,
    TemplatedProtocol,
    Work,
)
from appliance.flows import FlowBatch

_LONG_PADDING = 7


def decode_templated(
    block: DatagramBlock,
    protocol: TemplatedProtocol,
    state: DecoderState,
    options: DecodeOptions,
) -> DecodeResult:
    """Decode a block of datagrams of one version.

    Raises
    ------
    BlockTooCostly
        The block is to be decoded in parts.
    """
    headers = protocol.read_headers(block)
    sets = walk_sets(
        block, protocol.header_octets, headers.end, zero_set_ends=protocol.zero_set_ends
    )
    faults = [*headers.faults, *sets.faults]
    given = (block, protocol, state, options)
    work = _attempt(given, headers, sets, set())
    cut = [f for f in work.result.faults if f.datagram not in work.dropped and f.reason == _CUT]
    if protocol.drops_whole and cut:
        # Only decoding showed that these messages lie: once more without them. They announce
        # nothing (see `announcements`), so no other message is read differently for it.
        faults += cut
        work = _attempt(given, headers, sets, {fault.datagram for fault in cut})
    work.result.faults = sorted({*faults, *work.result.faults})
    _count_sequences(work)
    return work.result


_Given = tuple[DatagramBlock, TemplatedProtocol, DecoderState, DecodeOptions]
_CUT = "record_cut"


def _attempt(given: _Given, headers: Headers, sets: Sets, dropped: set[int]) -> Work:
    block, protocol, state, options = given
    scopes, scope_of = find_scopes(block, protocol.version, headers.domain, headers.end > 0)
    work = Work(
        block=block,
        protocol=protocol,
        options=options,
        state=state,
        headers=headers,
        sets=sets,
        dropped=set(dropped),
        scopes=scopes,
        scope_of=scope_of,
        arrivals=Arrivals.of(block, headers),
        result=DecodeResult(),
        unit_counts=np.zeros(len(block), np.int64),
        timelines=Timelines(state, senders_of(block, scopes)),
    )
    check_templates(work)
    read_templates(work)
    scope_of[list(work.dropped)] = -1
    _note_restarts(work)
    set_scope = scope_of[sets.datagram]
    assignment = assign_templates(sets, set_scope, scopes, work.timelines)
    drop_excess_layouts(work, assignment)
    _decode_sections(work, [block_section(work, assignment, set_scope), *release_sections(work)])
    _keep_unknown(work, assignment)
    return work


def _note_restarts(work: Work) -> None:
    traffic = Traffic(work.scopes, work.scope_of, work.headers)
    restarts = find_restarts(traffic, work.state, work.protocol.window_units)
    work.result.restarted = list(restarts)
    # Restarts are found by datagram; Sets are what positions count.
    work.timelines.restarts = {
        scope: np.searchsorted(work.sets.datagram, rows).tolist()
        for scope, rows in restarts.items()
    }


@dataclass(frozen=True, slots=True)
class _Part:
    """Records of one layout."""

    group: RecordGroup
    sets: LayoutSets


def _decode_sections(work: Work, sections: list[Section]) -> None:
    layouts = [_layouts(work, section) for section in sections]
    check_layouts(work, list(chain(*layouts)))
    parts = [[_part(work, sets) for sets in of_section] for of_section in layouts]
    work.result.totals = report_totals(
        BlockArrivals(work.scopes, work.scope_of, work.block.lengths),
        [(part.group, _prompt_scopes(part)) for part in chain(*parts)],
    )
    sampling = _learn(work, [part for part in chain(*parts) if part.group.plan.options])
    work.result.arrivals = work.arrivals
    for of_section, own in zip(layouts, parts, strict=True):
        if of_section:
            _append_section(work, of_section[0].section, own, sampling)


def _prompt_scopes(part: _Part) -> Int:
    """Return the scope of each Set, -1 where it came before its template."""
    section, rows = part.sets.section, part.sets.rows
    return np.where(section.belated[rows], -1, section.scope[rows])


def _learn(work: Work, parts: Sequence[_Part]) -> SamplingTimelines:
    """Take in what options records tell."""
    version, senders = work.protocol.version, work.timelines.senders
    sampling = SamplingTimelines(work.options)
    for session in {scope.session for scope in work.scopes}:
        own = work.state.sampling(session, version)
        lent = own if own.told else work.state.borrow_sampling(session, version, senders)
        of_others = work.state.borrow_sampling_of_others(session, version)
        sampling.learning[session] = Learning(own, lent, of_others)
    facts = [
        fact
        for part in parts
        for fact in collect_facts(part.group, _context(work, part.sets.section, part.sets.rows))
    ]
    for fact in sorted(facts, key=lambda f: f.order):
        if fact.name is not None:
            work.result.names.append(fact.name)
        if fact.sampling is not None:
            sampling.learning[fact.session].learn(fact.order[0], fact.sampling)
    for session, learning in sampling.learning.items():
        if learning.moments:
            work.result.sampling[session, version] = learning.after()
        if learning.refused:
            work.result.counts["sampling_refused"] += learning.refused
    return sampling


def _layouts(work: Work, section: Section) -> list[LayoutSets]:
    """Return the Sets of each layout, in a section that is sorted by layouts."""
    numbers: dict[DecodePlan, int] = {}
    of_template = []
    for template in section.templates:
        plan = plan_of(
            work.protocol.version, template.fields, template.scope_count, template.options
        )
        of_template.append(numbers.setdefault(plan, len(numbers)))
    plans = list(numbers)
    if len(plans) < 2:
        return [LayoutSets(section, plan, slice(None)) for plan in plans if len(section.lengths)]
    of_set = np.array(of_template, np.int64)[section.template]
    order = np.argsort(of_set, kind="stable")
    section = section.reorder(order)
    ends = np.cumsum(np.bincount(of_set, minlength=len(plans))).tolist()
    return [
        LayoutSets(section, plan, slice(begin, end))
        for plan, begin, end in zip(plans, [0, *ends], ends, strict=False)
        if begin < end
    ]


def _part(work: Work, sets: LayoutSets) -> _Part:
    section, plan, rows = sets.section, sets.plan, sets.rows
    starts, lengths = section.starts[rows], section.lengths[rows]
    arrival = section.arrival[rows]
    records: Records
    if plan.is_variable:
        records, counts = _scalar_section(work, plan, section, rows)
    else:
        records, counts = fixed_records(plan, section.flat, starts, lengths)
        padded = np.count_nonzero(lengths - counts * plan.minimum_length > _LONG_PADDING)
        if padded:
            work.result.counts["long_padding"] += int(padded)
    if records.n_records:
        for name in plan.unknown_elements:
            work.result.unknown_elements[name] += records.n_records
    identifiers = section.template_ids[rows]
    offsets = section.offsets[rows]
    group = RecordGroup(plan, records, work.arrivals, arrival, counts, identifiers, offsets)
    return _Part(group, sets)


def _context(work: Work, section: Section, rows: slice) -> SetContext:
    return SetContext(work.scopes, section.scope[rows], section.order[rows], section.turn[rows])


def _scalar_section(
    work: Work, plan: DecodePlan, section: Section, rows: slice
) -> tuple[Records, Int]:
    records: list[list[bytes]] = []
    counts = []
    for row in range(*rows.indices(len(section.starts))):
        start, length = int(section.starts[row]), int(section.lengths[row])
        body = memoryview(section.flat[start : start + length].tobytes())
        try:
            found, padding = scalar_records(plan, body, MAX_SCALAR_RECORDS)
        except CutRecord as error:
            found, padding = error.partial, 0
            if section.belated[row]:
                # Its message was judged when it came; this shows only now.
                work.result.counts["late_sets_cut"] += 1
            else:
                fault = Fault(int(section.arrival[row]), error.reason, error.detail)
                work.result.faults.append(fault)
        if len(found) >= MAX_SCALAR_RECORDS and padding >= plan.minimum_length:
            work.result.counts["sets_with_too_many_records"] += 1
        elif padding > _LONG_PADDING:
            work.result.counts["long_padding"] += 1
        records += found
        counts.append(len(found))
    return ScalarRecords(plan, records), np.array(counts, np.int64)


def _append_section(
    work: Work, section: Section, parts: Sequence[_Part], sampling: SamplingTimelines
) -> None:
    # The records of each datagram count as far as they were decodable when it came.
    counts = np.concatenate([part.group.counts for part in parts])
    own = section.arrival < len(work.unit_counts)
    units = np.where(section.belated, UNCOUNTABLE, counts)
    np.add.at(work.unit_counts, section.arrival[own], units[own])
    moments = set_moments(_context(work, section, slice(None)), sampling)
    groups = []
    for part in parts:
        if part.group.n_records:
            rows = part.sets.rows
            group = _append_batches(work, part.group, moments.of_sets(rows), sampling)
            groups.append((group, section.scope[rows]))
    tally(work.result, groups, work.scopes)


def _append_batches(
    work: Work, group: RecordGroup, moments: Moments, sampling: SamplingTimelines
) -> RecordGroup:
    exporters = exporter_addresses(group, moments, work.options.trust_exporter_address)
    if group.plan.options:
        group = replace(group, exporters=exporters)
        _append(work, group, option_columns(group), None)
        return group
    rates, carries_rate = record_rates(group, moments, sampling)
    group = replace(
        group,
        exporters=exporters,
        sampling=rates,
        carries_rate=carries_rate,
        init_ms=boot_times(group, moments) if group.needs_boot_time else None,
    )
    biflow = flow_columns(group)
    _append(work, group, biflow.forward, None)
    if biflow.reverse is not None and biflow.reverse_rows is not None and len(biflow.reverse_rows):
        _append(work, group, biflow.reverse, biflow.reverse_rows)
    return group


def _append(
    work: Work, group: RecordGroup, columns: Columns, rows: NDArray[np.intp] | None
) -> None:
    octets = octet_columns(group, work.options.raw_elements)
    of_header = header_columns(group, work.options.header_columns)
    datagrams = np.repeat(group.arrival, group.counts)
    if rows is not None:
        octets, of_header = (
            {name: values[rows] for name, values in found.items()} for found in (octets, of_header)
        )
        datagrams = datagrams[rows]
    columns = {**columns, **of_header}
    n_records = group.n_records if rows is None else len(rows)
    batch = FlowBatch(n_records, compact(columns), octets, group.plan.options, datagrams)
    work.result.batches.append(batch)
    work.result.groups.append(group)


def _keep_unknown(work: Work, assignment: Assignment) -> None:
    """Keep Data Sets whose template may still come, unless their exporter restarted since."""
    sets, headers = work.sets, work.headers
    for position in np.flatnonzero(assignment.unknown).tolist():
        row = int(sets.datagram[position])
        scope = work.scopes[work.scope_of[row]]
        work.unit_counts[row] = UNCOUNTABLE
        work.result.counts["sets_without_template"] += 1
        if scope.is_connection:
            # Messages come in their order: a template that follows is of other data.
            work.result.counts["sets_without_template_on_connections"] += 1
            continue
        if work.timelines.has_restart_between(scope, position, len(sets.set_id)):
            work.result.counts.update(("waiting_sets_kept", "waiting_sets_given_up"))
            continue
        work.result.waiting.append(
            WaitingSet(
                scope,
                int(sets.set_id[position]),
                bytes(work.body(position)),
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
    count_octets(work.result, traffic, work.block.lengths)
