"""Which template applies to which Data Set of a block, as if the datagrams had come one by one.

A block is decoded at once, but a template may be announced, or changed, in its middle. Each key
(observation domain of a session, template identifier) gets a timeline of layouts over the
positions of the block's Sets; Data Sets find their layout in it by position. Documents: RFC 3954
section 9, RFC 7011 section 8; decisions on both: the templates of another session of the same
address and domain are borrowed, a Data Set that came before its template waits for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.wire.message import Sets
from appliance.wire.template import Template

Int = NDArray[np.int64]


class Scope(NamedTuple):
    """An observation domain of one session: exporter address, its port, and the domain."""

    address_hi: int
    address_lo: int
    port: int
    domain: int

    @property
    def exporter(self) -> tuple[int, int]:
        """The exporter's address as halves."""
        return self.address_hi, self.address_lo

    @property
    def family(self) -> Family:
        """What sessions of one address share when they borrow templates."""
        return self.address_hi, self.address_lo, self.domain


Family = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """A template that was announced: new, refreshed or with another layout.

    Attributes
    ----------
    position
        Index of the Set that announced it, among the block's Sets.
    """

    scope: Scope
    template: Template
    position: int


class TemplateLookup(Protocol):
    """What is known of templates before the block."""

    def own_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the template that this session announced."""
        ...

    def newest_template(self, scope: Scope, template_id: int) -> Template | None:
        """Return the newest template of this address, domain and identifier, whatever its port."""
        ...


class Epoch(NamedTuple):
    """From a position on, this layout applies (None: unknown)."""

    position: int
    template: Template | None
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


@dataclass
class Timelines:
    """The changes of a block by family and template identifier, and the restarts by scope."""

    changes: dict[tuple[Family, int], list[TemplateChange]] = field(default_factory=dict)
    restarts: Mapping[Scope, Sequence[int]] = field(default_factory=dict)

    def add(self, change: TemplateChange) -> None:
        """Note an announcement; they come in the order of their positions."""
        key = (change.scope.family, change.template.template_id)
        self.changes.setdefault(key, []).append(change)

    def epochs(self, lookup: TemplateLookup, scope: Scope, template_id: int) -> list[Epoch]:
        """Return the layouts of a key over the block, the one known before it first."""
        own = lookup.own_template(scope, template_id)
        newest = own or lookup.newest_template(scope, template_id)
        epochs = [Epoch(-1, newest, own is None and newest is not None)]
        for change in self.changes.get((scope.family, template_id), ()):
            if change.scope == scope:
                own = change.template
            layout = own or change.template
            if layout != epochs[-1].template:
                epochs.append(Epoch(change.position, layout, own is None))
        return epochs

    def restarted_between(self, scope: Scope, first: int, last: int) -> bool:
        """Tell whether the exporter restarted after position `first` and up to `last`."""
        at = self.restarts.get(scope, ())
        after = bisect_right(at, first)
        return after < len(at) and at[after] <= last


def assign_templates(
    sets: Sets,
    set_scope: Int,
    scopes: Sequence[Scope],
    timelines: Timelines,
    lookup: TemplateLookup,
) -> Assignment:
    """Find the layout of every Data Set (identifier from 256 on).

    Parameters
    ----------
    set_scope
        int64, shape (n_sets,): index of each Set's scope in `scopes`.
    """
    n_sets = len(sets.set_id)
    result = Assignment(
        [],
        np.full(n_sets, -1, np.int64),
        np.arange(n_sets, dtype=np.int64) * 2,
        np.zeros(n_sets, np.bool_),
    )
    data = np.flatnonzero(sets.set_id >= 256)
    keys, inverse = np.unique(set_scope[data] << 16 | sets.set_id[data], return_inverse=True)
    index: dict[int, int] = {}
    for number, key in enumerate(keys.tolist()):
        scope, template_id = scopes[key >> 16], key & 0xFFFF
        rows = data if len(keys) == 1 else data[inverse == number]
        epochs = timelines.epochs(lookup, scope, template_id)
        if len(epochs) == 1:
            _settle(result, index, rows, epochs[0])
        else:
            _spread(result, index, rows, epochs, (timelines, scope))
    return result


def _settle(result: Assignment, index: dict[int, int], rows: Int, epoch: Epoch) -> None:
    """Give all these Sets one layout, or note that theirs is unknown."""
    if epoch.template is None:
        result.unknown[rows] = True
        return
    number = index.setdefault(id(epoch.template), len(result.templates))
    if number == len(result.templates):
        result.templates.append(epoch.template)
    result.template[rows] = number
    result.borrowed += len(rows) if epoch.borrowed else 0


def _spread(
    result: Assignment,
    index: dict[int, int],
    rows: Int,
    epochs: list[Epoch],
    where: tuple[Timelines, Scope],
) -> None:
    """Give these Sets the layouts of the epochs that their positions fall in."""
    timelines, scope = where
    epoch_of = np.searchsorted(np.array([e.position for e in epochs]), rows, "right") - 1
    for number, current in enumerate(epochs):
        part, epoch = rows[epoch_of == number], current
        if epoch.template is None and number + 1 < len(epochs):
            # They came before their template: they take effect right after it.
            following = epochs[number + 1]
            kept = np.array(
                [
                    not timelines.restarted_between(scope, p, following.position)
                    for p in part.tolist()
                ],
                np.bool_,
            )
            result.unknown[part[~kept]] = True
            part, epoch = part[kept], following
            result.order[part] = 2 * following.position + 1
            result.late += len(part)
        if len(part):
            _settle(result, index, part, epoch)
