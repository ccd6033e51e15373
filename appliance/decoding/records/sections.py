"""The Data Sets of a block as sections: its own, and earlier ones whose template came with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import Arrivals
from appliance.decoding.results import WaitingSet
from appliance.decoding.templates.timeline import Assignment, Layout
from appliance.decoding.work import Int, Section, Work


def block_section(work: Work, assignment: Assignment, set_scope: Int) -> Section:
    """Collect the block's own Data Sets of which the template is known."""
    known = np.flatnonzero(assignment.template >= 0)
    sets, stride = work.sets, work.block.octets.shape[1]
    order, arrival = assignment.order[known], sets.datagram[known]
    belated = np.zeros(len(known), np.bool_)
    late = np.flatnonzero(order % 2)
    # RFC 7011 allows a template behind its data in the same message: that is no waiting.
    belated[late] = sets.datagram[order[late] // 2] != arrival[late]
    _count(
        work,
        sets_borrowed=assignment.borrowed,
        sets_late=assignment.late,
        sets_without_template=int(np.count_nonzero(belated)),
        waiting_sets_kept=int(np.count_nonzero(belated)),
    )
    return Section(
        flat=work.block.octets.reshape(-1),
        templates=assignment.templates,
        template=assignment.template[known],
        starts=arrival * stride + sets.offset[known],
        lengths=sets.length[known],
        arrival=arrival,
        scope=set_scope[known],
        order=order,
        turn=known.astype(np.int64),
        belated=belated,
        template_ids=sets.set_id[known],
        offsets=sets.offset[known],
    )


def release_sections(work: Work) -> list[Section]:
    """Collect the Sets of earlier blocks whose template came in this one."""
    found: list[tuple[WaitingSet, Layout]] = []
    timelines = work.timelines
    for scope, template_id in {**timelines.of_scope, **dict.fromkeys(timelines.borrowed)}:
        for waiting in work.state.waiting(scope, template_id):
            layout = timelines.layout(waiting.scope, template_id, -1)
            # What waits of a scope that restarted is given up when the result is committed.
            if layout is not None and not timelines.has_restart_between(
                waiting.scope, -2, layout.since
            ):
                found.append((waiting, layout))
    if not found:
        return []
    found.sort(key=lambda item: item[0].serial)
    work.result.released += [waiting for waiting, _ in found]
    borrowed = sum(layout.borrowed for _, layout in found)
    _count(work, sets_late=len(found), sets_borrowed=borrowed)
    return [_waiting_section(work, found)]


def _count(work: Work, **numbers: int) -> None:
    work.result.counts.update({word: number for word, number in numbers.items() if number})


def _waiting_section(work: Work, found: list[tuple[WaitingSet, Layout]]) -> Section:
    first, n_sets = len(work.arrivals.sequence), len(found)
    work.arrivals = _with_arrivals(work.arrivals, [waiting for waiting, _ in found])
    lengths = np.array([len(w.body) for w, _ in found], np.int64)
    scopes = {scope: number for number, scope in enumerate(work.scopes)}
    for waiting, _ in found:
        if waiting.scope not in scopes:
            scopes[waiting.scope] = len(work.scopes)
            work.scopes.append(waiting.scope)
    numbers = np.arange(n_sets, dtype=np.int64)
    return Section(
        flat=np.frombuffer(b"".join(w.body for w, _ in found), np.uint8),
        templates=[layout.template for _, layout in found],
        template=numbers,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        arrival=first + numbers,
        scope=np.array([scopes[w.scope] for w, _ in found], np.int64),
        order=np.array([2 * layout.since + 1 for _, layout in found], np.int64),
        turn=numbers - n_sets,
        belated=np.ones(n_sets, np.bool_),
        template_ids=np.array([w.set_id for w, _ in found], np.int64),
        offsets=np.full(n_sets, -1, np.int64),
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
