"""What decoding a block will cost, told before its records are touched.

A block is decoded at once, so what one sender puts into it holds up everybody else. Records of the
usual kind cost next to nothing; what a sender can make dear are templates, layouts (each takes
dozens of numpy calls, for however few records) and records that are read one by one. A block above
`MAX_BLOCK_SECONDS` is not decoded: `BlockTooCostly` tells the caller what each of its datagrams
would cost, and the caller decodes it in parts, as it thinks fair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.faults import Fault
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.decoding.templates.template import FIRST_DATA_SET_ID
from appliance.decoding.templates.timeline import Assignment
from appliance.decoding.work import UNCOUNTABLE, Section, Work

Seconds = NDArray[np.float64]

MAX_BLOCK_SECONDS = 0.1
"""The most that is decoded at once, by the prices below; a single datagram always is."""

MAX_LAYOUTS = 128
"""Layouts of Data Sets that are read of one message."""

# Measured by the processor time of the datagrams in `tests/decoding/worst_cases.py`.
_SECONDS_PER_LAYOUT = 150e-6
_SECONDS_PER_TEMPLATE_OCTET = 2.5e-6
_SECONDS_PER_SINGLE_RECORD = 4e-6
_SECONDS_PER_SINGLE_FIELD = 0.5e-6
_SECONDS_PER_OCTET = 4e-9


class BlockTooCostly(Exception):  # noqa: N818 - no error: the block is sound
    """A block of several datagrams costs more than is decoded at once.

    Attributes
    ----------
    seconds
        float64, shape (n,): what each datagram of the block would cost.
    """

    def __init__(self, seconds: Seconds) -> None:
        super().__init__(f"{len(seconds)} datagrams cost {seconds.sum():.3f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class LayoutSets:
    """The Sets of one layout in a section; `rows` are their places in it."""

    section: Section
    plan: DecodePlan
    rows: slice


def check_templates(work: Work) -> None:
    """Refuse a block whose template Sets alone cost too much.

    Raises
    ------
    BlockTooCostly
        See there.
    """
    of_templates = work.sets.set_id < FIRST_DATA_SET_ID
    octets = work.sets.length[of_templates]
    if octets.sum() * _SECONDS_PER_TEMPLATE_OCTET > MAX_BLOCK_SECONDS and len(work.block) > 1:
        of_datagram = np.zeros(len(work.block))
        np.add.at(of_datagram, work.sets.datagram[of_templates], octets)
        raise BlockTooCostly(of_datagram * _SECONDS_PER_TEMPLATE_OCTET)


def drop_excess_layouts(work: Work, assignment: Assignment) -> None:
    """Leave out the Data Sets of a message that are of more than `MAX_LAYOUTS` layouts.

    An exporter has a handful of layouts; one message that has hundreds would hold up all others for
    as long as ten thousand ordinary ones.
    """
    sets = work.sets
    if len(sets.set_id) <= MAX_LAYOUTS:
        return
    n_sets = np.bincount(sets.datagram, minlength=len(work.block))
    for row in np.flatnonzero(n_sets > MAX_LAYOUTS).tolist():
        first, last = np.searchsorted(sets.datagram, [row, row + 1]).tolist()
        decoded = first + np.flatnonzero(assignment.template[first:last] >= 0)
        layouts, begins = np.unique(sets.set_id[decoded], return_index=True)
        if len(layouts) <= MAX_LAYOUTS:
            continue
        kept = layouts[np.argsort(begins)[:MAX_LAYOUTS]]
        excess = decoded[~np.isin(sets.set_id[decoded], kept)]
        assignment.template[excess] = -1
        work.unit_counts[row] = UNCOUNTABLE
        detail = f"{len(layouts)} layouts in one message, {MAX_LAYOUTS} are read"
        work.result.faults.append(Fault(row, "too_many_layouts", detail))


def check_layouts(work: Work, layouts: Sequence[LayoutSets]) -> None:
    """Refuse a block whose Data Sets cost too much.

    Raises
    ------
    BlockTooCostly
        See there.
    """
    if len(work.block) < 2:
        return
    seconds = [_seconds_of_sets(sets) for sets in layouts]
    total = sum(float(of_sets.sum()) for of_sets in seconds) + len(layouts) * _SECONDS_PER_LAYOUT
    if total > MAX_BLOCK_SECONDS:
        raise BlockTooCostly(_by_datagram(work, layouts, seconds))


def _seconds_of_sets(sets: LayoutSets) -> Seconds:
    lengths, plan = sets.section.lengths[sets.rows], sets.plan
    if not (plan.is_variable or plan.options):
        return np.multiply(lengths, _SECONDS_PER_OCTET, dtype=np.float64)
    of_record = _SECONDS_PER_SINGLE_RECORD + len(plan.fields) * _SECONDS_PER_SINGLE_FIELD
    return np.multiply(lengths // plan.minimum_length, of_record, dtype=np.float64)


def _by_datagram(work: Work, layouts: Sequence[LayoutSets], seconds: Sequence[Seconds]) -> Seconds:
    """Add the costs up; each exporter pays once for each layout that it uses."""
    n = len(work.block)
    total = np.zeros(n)
    exporters = {scope.exporter: number for number, scope in enumerate(work.scopes)}
    of_scope = np.array([exporters[scope.exporter] for scope in work.scopes], np.int64)
    for sets, of_sets in zip(layouts, seconds, strict=True):
        arrival = sets.section.arrival[sets.rows]
        own = arrival < n  # Sets of earlier blocks, which waited for their template, are behind.
        np.add.at(total, arrival[own], of_sets[own])
        exporter = of_scope[sets.section.scope[sets.rows][own]]
        first = np.unique(exporter, return_index=True)[1]
        total[arrival[own][first]] += _SECONDS_PER_LAYOUT
    return total
