"""The templates that a block announces, in the order in which they came.

RFC 7011 section 9.1 wants a message with lying lengths dropped whole, its templates too, so what a
message announces is taken over only when its own Data Sets do not contradict it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from appliance.decoding.messages.faults import Fault
from appliance.decoding.records.scalar_records import CutRecord, scalar_records
from appliance.decoding.templates.decode_plan import plan_of
from appliance.decoding.templates.template import (
    FIRST_DATA_SET_ID,
    FieldSpecifier,
    Refusal,
    Template,
    Withdrawal,
    read_template_set,
)
from appliance.decoding.templates.timeline import SessionDomain, TemplateChange, rows_by_key
from appliance.decoding.work import MAX_SCALAR_RECORDS, Work


@dataclass
class _Message:
    """What the template Sets of one message say."""

    row: int
    scope: SessionDomain
    changes: list[TemplateChange] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lies: bool = False


def read_templates(work: Work) -> None:
    """Read template Sets in order; count the reserved ones; note which messages are dropped."""
    sets = work.sets
    positions = np.flatnonzero(sets.set_id < FIRST_DATA_SET_ID)
    for row, of_row in rows_by_key(sets.datagram[positions]):
        if row in work.dropped:
            continue
        message = _Message(row, work.scopes[work.scope_of[row]])
        for position in positions[of_row].tolist():
            _read_set(work, message, position)
        _take_over(work, message)


def _read_set(work: Work, message: _Message, position: int) -> None:
    protocol, set_id = work.protocol, int(work.sets.set_id[position])
    if set_id not in (protocol.template_set, protocol.options_set):
        message.counts["reserved_set"] += 1
        return
    options = set_id == protocol.options_set
    for found in read_template_set(work.body(position), options=options, version=protocol.version):
        if isinstance(found, Withdrawal):
            # RFC 7011 section 8.4: over UDP templates are not withdrawn.
            message.counts["template_withdrawal_ignored"] += 1
        elif isinstance(found, Refusal):
            message.faults.append(Fault(message.row, found.reason, found.detail))
            message.lies |= found.lies
        else:
            template = _rename_elements(work, message.scope, found)
            message.changes.append(TemplateChange(message.scope, template, position))


def _rename_elements(work: Work, scope: SessionDomain, template: Template) -> Template:
    names = work.options.renamed.get(scope.exporter)
    if not names:
        return template
    fields = []
    for f in template.fields:
        enterprise, element = names.get((f.enterprise, f.element), (f.enterprise, f.element))
        fields.append(FieldSpecifier(element, f.length, enterprise))
    return replace(template, fields=tuple(fields))


def _take_over(work: Work, message: _Message) -> None:
    result, timelines = work.result, work.timelines
    result.faults += message.faults
    if work.protocol.drops_whole and message.lies:
        work.dropped.add(message.row)
        return
    for change in message.changes:
        timelines.add(change)
    if work.protocol.drops_whole and message.changes:
        fault = _find_cut_record(work, message)
        if fault is not None:
            for change in reversed(message.changes):
                timelines.take_back(change)
            result.faults.append(fault)
            work.dropped.add(message.row)
            return
    result.templates += message.changes
    result.counts += message.counts


def _find_cut_record(work: Work, message: _Message) -> Fault | None:
    """Find a record that runs past its Set in a message that announces templates."""
    sets = work.sets
    first, last = np.searchsorted(sets.datagram, [message.row, message.row + 1]).tolist()
    for position in range(first, last):
        set_id = int(sets.set_id[position])
        if set_id < FIRST_DATA_SET_ID:
            continue
        layout = work.timelines.layout(message.scope, set_id, position)
        if layout is None or not layout.template.is_variable:
            continue
        template = layout.template
        plan = plan_of(
            work.protocol.version, template.fields, template.scope_count, template.options
        )
        try:
            scalar_records(plan, work.body(position), MAX_SCALAR_RECORDS)
        except CutRecord as error:
            return Fault(message.row, error.reason, error.detail)
    return None
