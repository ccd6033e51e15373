"""The templates that a block announces, in the order in which they came.

RFC 7011 section 9.1 wants a message with lying lengths dropped whole, its templates too, so what a
message announces is taken over only when its own Data Sets do not contradict it. Over a connection
templates are withdrawn before their number means something else (section 8.1); an exporter that
does not keep to that cannot be understood any more, so nothing after it counts.
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
from appliance.decoding.templates.timeline import (
    SessionDomain,
    TemplateChange,
    Timelines,
    rows_by_key,
    withdrawal_of,
)
from appliance.decoding.work import MAX_SCALAR_RECORDS, Work

TEMPLATE_REDEFINED = "template_redefined"
"""The reason of a fault after which a connection cannot be understood any more."""


@dataclass
class _Message:
    """What the template Sets of one message say."""

    row: int
    scope: SessionDomain
    changes: list[TemplateChange] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lies: bool = False
    ends_session: bool = False
    withdrawn: Counter[bool] = field(default_factory=Counter)
    latest: dict[int, tuple[Template | None, int]] = field(default_factory=dict)

    def note(self, template: Template | None, template_id: int, *, options: bool) -> None:
        """Note what a number stands for from now on; None: it was withdrawn."""
        self.latest[template_id] = template, self.withdrawn[options]

    def template(self, timelines: Timelines, template_id: int) -> Template | None:
        """Return what a number of a connection stands for after what was read so far."""
        if template_id in self.latest:
            template, withdrawn_before = self.latest[template_id]
        else:
            template, withdrawn_before = timelines.latest(self.scope, template_id), 0
        if template is None or self.withdrawn[template.options] > withdrawn_before:
            return None
        return template


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
            _withdraw(work, message, found.template_id, position)
        elif isinstance(found, Refusal):
            message.faults.append(Fault(message.row, found.reason, found.detail))
            message.lies |= found.lies
        else:
            template = _rename_elements(work, message.scope, found)
            if message.scope.is_connection and _is_redefined(work, message, template):
                return
            message.changes.append(TemplateChange(message.scope, template, position))


def _withdraw(work: Work, message: _Message, template_id: int, position: int) -> None:
    if not message.scope.is_connection:
        # RFC 7011 section 8.4: over UDP templates are not withdrawn.
        message.counts["template_withdrawal_ignored"] += 1
        return
    set_id = int(work.sets.set_id[position])
    options = set_id == work.protocol.options_set
    if template_id == set_id:
        # All of them: what this Set said before is over, too.
        while message.changes and message.changes[-1].position == position:
            message.changes.pop()
        message.withdrawn[options] += 1
    else:
        known = message.template(work.timelines, template_id)
        if known is None or known.options != options:
            # RFC 7011 section 8.1: one that is not known is ignored, and logged.
            message.counts["template_withdrawal_unknown"] += 1
            return
        message.note(None, template_id, options=options)
    message.counts["template_withdrawals"] += 1
    message.changes.append(withdrawal_of(message.scope, template_id, position, options=options))


def _is_redefined(work: Work, message: _Message, template: Template) -> bool:
    """Tell whether a number of a connection gets another meaning without a withdrawal."""
    known = message.template(work.timelines, template.template_id)
    message.note(template, template.template_id, options=template.options)
    if known is None or known == template:
        return False
    detail = f"template {template.template_id}: another layout without a withdrawal"
    message.faults.append(Fault(message.row, TEMPLATE_REDEFINED, detail))
    message.lies = message.ends_session = True
    return True


def _drop_rest(work: Work, message: _Message) -> None:
    """Take nothing of a session that comes after a message."""
    block, row = work.block, message.row
    same = (block.address_hi == block.address_hi[row]) & (block.address_lo == block.address_lo[row])
    same &= block.port == block.port[row]
    rest = np.flatnonzero(same[row + 1 :]) + row + 1
    work.dropped.update(rest.tolist())
    work.result.counts["messages_after_redefinition"] += len(rest)


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
        if message.ends_session:
            _drop_rest(work, message)
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
