"""Which template applies to which Data Set of a block, as if the datagrams had come one by one.

A block is decoded at once, but a template may be announced, or changed, in its middle. Each key
(observation domain of a session, template identifier) gets a timeline of layouts over the
positions of the block's Sets; Data Sets find their layout in it by position. Documents: RFC 3954
section 9, RFC 7011 section 8; decisions on both: a Data Set that came before its template waits for
it; a session that told no template borrows one only where the lookup lends it. Over a connection
messages come in their order, so there nothing waits or is borrowed, and templates are withdrawn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.headers import Sets
from appliance.decoding.messages.session_numbers import is_connection
from appliance.decoding.templates.template import FIRST_DATA_SET_ID, Template

Int = NDArray[np.int64]


class SessionDomain(NamedTuple):
    """An observation domain of one session: exporter address, its port or the number of its
    connection (`session_numbers`), domain, and protocol.

    What v9 and IPFIX say from one port under one number has nothing to do with each other.
    """

    address_hi: int
    address_lo: int
    port: int
    domain: int
    version: int

    @property
    def exporter(self) -> tuple[int, int]:
        """The exporter's address as halves."""
        return self.address_hi, self.address_lo

    @property
    def is_connection(self) -> bool:
        """Whether its messages come over a connection, in their order and without loss."""
        return is_connection(self.port)

    @property
    def session(self) -> Session:
        """The session: what one port of the exporter says is of one process, or one device."""
        return self.address_hi, self.address_lo, self.port

    @property
    def family(self) -> Family:
        """What sessions of one address share when they borrow templates."""
        return self.address_hi, self.address_lo, self.domain, self.version


Session = tuple[int, int, int]
"""Exporter address as halves, and its port or the number of its connection."""

Family = tuple[int, int, int, int]


class Senders(NamedTuple):
    """Who sends in a block, and when it begins (milliseconds UTC)."""

    sessions: frozenset[Session]
    time_ms: int


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """A template that was announced: new, refreshed or with another layout; or withdrawn.

    Attributes
    ----------
    template
        Without fields: it is withdrawn (see `withdrawal_of`).
    position
        Index of the Set that announced it, among the block's Sets.
    """

    scope: SessionDomain
    template: Template
    position: int

    @property
    def is_withdrawal(self) -> bool:
        """Whether the template is no longer to be used."""
        return not self.template.fields

    @property
    def withdraws_all(self) -> bool:
        """Whether it ends all templates, or all options templates, of its scope."""
        return self.is_withdrawal and self.template.template_id < FIRST_DATA_SET_ID


def withdrawal_of(
    scope: SessionDomain, template_id: int, position: int, *, options: bool
) -> TemplateChange:
    """Return the change that ends a template.

    Parameters
    ----------
    template_id
        That of a template Set: all templates of that kind (RFC 7011 section 8.1).
    """
    return TemplateChange(scope, Template(template_id, (), options=options), position)


class TemplateLookup(Protocol):
    """What is known of templates before the block."""

    def own_template(self, scope: SessionDomain, template_id: int) -> Template | None:
        """Return the template that this session announced."""
        ...

    def borrow_template(
        self, scope: SessionDomain, template_id: int, senders: Senders
    ) -> Template | None:
        """Return the template that another session of this address lends, none of `senders`."""
        ...


class Layout(NamedTuple):
    """The layout that applies to a Data Set.

    Attributes
    ----------
    since
        Position of the Set that announced it; -1 for one from before the block.
    """

    template: Template
    since: int
    borrowed: bool


@dataclass
class Assignment:
    """The layouts of a block's Data Sets.

    Attributes
    ----------
    templates
        The distinct templates in use.
    template
        int64, shape (n_sets,): index into `templates`, -1 for no Data Set or an unknown template.
    order
        int64, shape (n_sets,): twice the position at which the Set takes effect, plus one for
        a Set that had to wait for its template; strictly what one by one would give.
    unknown
        bool, shape (n_sets,): Data Sets whose template is not known by the end of the block.
    borrowed, late
        Number of Sets decoded with another session's template, or with one that came after them.
    """

    templates: list[Template]
    template: Int
    order: Int
    unknown: NDArray[np.bool_]
    borrowed: int = 0
    late: int = 0
    index: dict[int, int] = field(default_factory=dict)

    def settle(self, rows: Int, layout: Layout) -> None:
        """Give all these Sets one layout."""
        number = self.index.setdefault(id(layout.template), len(self.templates))
        if number == len(self.templates):
            self.templates.append(layout.template)
        self.template[rows] = number
        self.borrowed += len(rows) if layout.borrowed else 0


class Announcements:
    """The changes of one key in the order of their positions."""

    def __init__(self) -> None:
        self.changes: list[TemplateChange] = []
        self._positions: Int | None = None

    def add(self, change: TemplateChange) -> None:
        """Append the newest."""
        self.changes.append(change)
        self._positions = None

    def drop_last(self) -> None:
        """Take the newest back."""
        self.changes.pop()
        self._positions = None

    def before(self, position: int) -> TemplateChange | None:
        """Return the newest up to a position."""
        at = bisect_right(self.changes, position, key=lambda change: change.position)
        return self.changes[at - 1] if at else None

    def number_before(self, positions: Int) -> Int:
        """Return how many there are up to each position."""
        if self._positions is None:
            self._positions = np.array([change.position for change in self.changes], np.int64)
        return np.searchsorted(self._positions, positions, "right")


_NONE = Announcements()
_KINDS = (False, True)
_THE_END = 1 << 62


@dataclass
class Timelines:
    """The changes of a block and the restarts, by scope.

    Attributes
    ----------
    of_scope
        Announcements by scope and template identifier.
    borrowed
        Scopes and identifiers for which another session lends its template.
    restarts
        Positions at which scopes restarted, ascending.
    withdrawn
        Positions at which all templates of a scope (False), or all options templates (True), were
        withdrawn, ascending.
    """

    lookup: TemplateLookup
    senders: Senders
    of_scope: dict[tuple[SessionDomain, int], Announcements] = field(default_factory=dict)
    borrowed: set[tuple[SessionDomain, int]] = field(default_factory=set)
    restarts: Mapping[SessionDomain, Sequence[int]] = field(default_factory=dict)
    withdrawn: dict[tuple[SessionDomain, bool], list[int]] = field(default_factory=dict)

    def add(self, change: TemplateChange) -> None:
        """Note an announcement; they come in the order of their positions."""
        if change.withdraws_all:
            of_kind = change.scope, change.template.options
            self.withdrawn.setdefault(of_kind, []).append(change.position)
            return
        key = change.scope, change.template.template_id
        self.of_scope.setdefault(key, Announcements()).add(change)

    def take_back(self, change: TemplateChange) -> None:
        """Forget the newest announcement of its key: its message is dropped."""
        if change.withdraws_all:
            self.withdrawn[change.scope, change.template.options].pop()
            return
        key = change.scope, change.template.template_id
        self.of_scope[key].drop_last()
        if not self.of_scope[key].changes:
            del self.of_scope[key]

    def layout_before(self, scope: SessionDomain, template_id: int) -> Layout | None:
        """Return the layout of a key before the block."""
        own = self.lookup.own_template(scope, template_id)
        if own is not None:
            return Layout(own, -1, borrowed=False)
        lent = self.lookup.borrow_template(scope, template_id, self.senders)
        if lent is None:
            return None
        self.borrowed.add((scope, template_id))
        return Layout(lent, -1, borrowed=True)

    def layout(self, scope: SessionDomain, template_id: int, position: int) -> Layout | None:
        """Return the layout of a key at a position: known there, or the first one after it."""
        own = self.of_scope.get((scope, template_id), _NONE)
        change = own.before(position)
        if change is None:
            known = self.layout_before(scope, template_id)
            if scope.is_connection:
                return None if known is None else self._unless_withdrawn(scope, known, position)
            if known is not None or not own.changes:
                return known
            change = own.changes[0]
        if change.is_withdrawal:
            return None
        layout = Layout(change.template, change.position, borrowed=False)
        return self._unless_withdrawn(scope, layout, position)

    def _unless_withdrawn(
        self, scope: SessionDomain, layout: Layout, position: int
    ) -> Layout | None:
        at = self.withdrawn.get((scope, layout.template.options), ())
        after = bisect_right(at, layout.since)
        return None if after < len(at) and at[after] <= position else layout

    def latest(self, scope: SessionDomain, template_id: int) -> Template | None:
        """Return the template of a connection as the announcements so far have left it."""
        layout = self.layout(scope, template_id, _THE_END)
        return None if layout is None else layout.template

    def parts(self, scope: SessionDomain, template_id: int, positions: Int) -> Int:
        """Number positions so that between equal numbers the layout of a key does not change."""
        own = self.of_scope.get((scope, template_id), _NONE)
        parts = own.number_before(positions)
        for options in _KINDS:
            at = self.withdrawn.get((scope, options))
            if at:
                parts = parts + np.searchsorted(np.array(at, np.int64), positions, "right")
        return parts

    def changes_within(self, scope: SessionDomain, template_id: int) -> bool:
        """Tell whether the block says anything of a key."""
        if (scope, template_id) in self.of_scope:
            return True
        return bool(self.withdrawn) and any((scope, kind) in self.withdrawn for kind in _KINDS)

    def has_restart_between(self, scope: SessionDomain, first: int, last: int) -> bool:
        """Tell whether the exporter restarted after position `first` and up to `last`."""
        at = self.restarts.get(scope, ())
        after = bisect_right(at, first)
        return after < len(at) and at[after] <= last


def assign_templates(
    sets: Sets, set_scope: Int, scopes: Sequence[SessionDomain], timelines: Timelines
) -> Assignment:
    """Find the layout of every Data Set (identifier from 256 on).

    Parameters
    ----------
    set_scope
        int64, shape (n_sets,): index of each Set's scope in `scopes`; -1 for a Set of a message
        that is dropped.
    """
    n_sets = len(sets.set_id)
    result = Assignment(
        [],
        np.full(n_sets, -1, np.int64),
        np.arange(n_sets, dtype=np.int64) * 2,
        np.zeros(n_sets, np.bool_),
    )
    data = np.flatnonzero((sets.set_id >= 256) & (set_scope >= 0))
    for key, of_key in rows_by_key(set_scope[data] << 16 | sets.set_id[data]):
        scope, template_id, rows = scopes[key >> 16], key & 0xFFFF, data[of_key]
        if timelines.changes_within(scope, template_id):
            _spread(result, rows, timelines, scope, template_id)
            continue
        known = timelines.layout_before(scope, template_id)
        if known is None:
            result.unknown[rows] = True
        else:
            result.settle(rows, known)
    return result


def rows_by_key(keys: Int) -> Iterator[tuple[int, NDArray[np.intp] | slice]]:
    """Yield each distinct key, ascending, with the places where it stands, ascending too."""
    if not len(keys):
        return
    if (keys == keys[0]).all():
        yield int(keys[0]), slice(None)
        return
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    ends = [*starts[1:].tolist(), len(keys)]
    for key, start, end in zip(ordered[starts].tolist(), starts.tolist(), ends, strict=True):
        yield key, order[start:end]


def _spread(
    result: Assignment, rows: Int, timelines: Timelines, scope: SessionDomain, template_id: int
) -> None:
    """Give the Sets of a key, of which there are announcements, the layouts of their positions."""
    # Sets between the same announcements have the same layout.
    for _, of_epoch in rows_by_key(timelines.parts(scope, template_id, rows)):
        part = rows[of_epoch]
        layout = timelines.layout(scope, template_id, int(part[0]))
        if layout is None:
            result.unknown[part] = True
            continue
        if layout.since > part[0]:
            # They came before their template: they take effect right after it.
            restarts = (
                timelines.has_restart_between(scope, p, layout.since) for p in part.tolist()
            )
            kept = ~np.fromiter(restarts, np.bool_, len(part))
            result.unknown[part[~kept]] = True
            part = part[kept]
            result.order[part] = 2 * layout.since + 1
            result.late += len(part)
        if len(part):
            result.settle(part, layout)
