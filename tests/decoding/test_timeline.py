"""Which layout applies to which Data Set."""

from __future__ import annotations

import numpy as np

from appliance.decoding.messages.headers import Sets
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.decoding.templates.timeline import (
    Senders,
    SessionDomain,
    TemplateChange,
    Timelines,
    assign_templates,
    rows_by_key,
)

HERE, THERE = SessionDomain(0, 1, 2000, 0, 9), SessionDomain(0, 1, 2001, 0, 9)
OTHER_VERSION = SessionDomain(0, 1, 2000, 0, 10)
SENDERS = Senders(frozenset({HERE.session}), 0)


def layout(octets: int) -> Template:
    return Template(300, (FieldSpecifier(1, octets),))


class Known:
    """What was known before: templates by scope, and one that `THERE` lends to `HERE`."""

    def __init__(self, lent: Template | None = None, **templates: Template) -> None:
        self.own = {HERE: templates.get("here"), THERE: templates.get("there")}
        self.lent = lent

    def own_template(self, scope: SessionDomain, template_id: int) -> Template | None:
        return self.own.get(scope)

    def borrow_template(
        self, scope: SessionDomain, template_id: int, senders: Senders
    ) -> Template | None:
        assert senders == SENDERS
        return self.lent if scope == HERE else None


def assigned(
    known: Known,
    changes: list[TemplateChange],
    scopes: list[SessionDomain],
    restarts: list[int] | None = None,
) -> tuple[list[int | None], list[int]]:
    """Give data Sets at positions 0, 1, ... of these scopes their layouts: octets and orders."""
    timelines = Timelines(known, SENDERS)
    for change in changes:
        timelines.add(change)
    timelines.restarts = {HERE: restarts or []}
    distinct = list(dict.fromkeys(scopes))
    n = len(scopes)
    positions = np.arange(n)
    sets = Sets(positions, np.full(n, 300), positions, positions, [])
    of_set = np.array([distinct.index(scope) for scope in scopes])
    found = assign_templates(sets, of_set, distinct, timelines)
    octets = [
        None if number < 0 else found.templates[number].fields[0].length
        for number in found.template.tolist()
    ]
    assert [o is None for o in octets] == found.unknown.tolist()
    return octets, found.order.tolist()


def change(scope: SessionDomain, octets: int, position: int) -> TemplateChange:
    return TemplateChange(scope, layout(octets), position)


def test_layout_when_known_before_then_until_it_changes() -> None:
    octets, order = assigned(Known(here=layout(1)), [change(HERE, 2, 2)], [HERE] * 5)
    assert octets == [1, 1, 2, 2, 2]
    assert order == [0, 2, 4, 6, 8]


def test_layout_when_another_session_changes_its_own_then_not_this_one() -> None:
    octets, _ = assigned(Known(here=layout(1)), [change(THERE, 2, 0)], [HERE, THERE, HERE])
    assert octets == [1, 2, 1]


def test_layout_when_another_session_lends_it_then_borrowed_until_its_own() -> None:
    changes = [change(THERE, 2, 1), change(HERE, 4, 3)]
    octets, order = assigned(Known(lent=layout(1)), changes, [HERE] * 5)
    assert octets == [1, 1, 1, 4, 4]
    assert order == [0, 2, 4, 6, 8]


def test_layout_when_only_others_told_it_then_it_waits_for_its_own() -> None:
    changes = [change(THERE, 2, 0), change(HERE, 3, 3)]
    octets, order = assigned(Known(there=layout(1)), changes, [HERE] * 5)
    assert octets == [3] * 5
    assert order == [7, 7, 7, 6, 8]
    assert assigned(Known(there=layout(1)), changes[:1], [HERE])[0] == [None]


def test_layout_when_the_exporter_restarted_before_it_came_then_unknown() -> None:
    octets, _ = assigned(Known(), [change(HERE, 2, 3)], [HERE] * 5, restarts=[2])
    assert octets == [None, None, 2, 2, 2]


def test_layout_when_of_another_protocol_then_not_borrowed() -> None:
    octets, _ = assigned(Known(here=layout(1)), [], [OTHER_VERSION, HERE])
    assert octets == [None, 1]


def test_announcement_when_taken_back_then_as_if_it_had_not_come() -> None:
    timelines = Timelines(Known(), SENDERS)
    first, second = change(HERE, 1, 0), change(HERE, 2, 1)
    timelines.add(first)
    timelines.add(second)
    timelines.take_back(second)
    found = timelines.layout(HERE, 300, 9)
    assert found is not None
    assert found.template == layout(1)
    timelines.take_back(first)
    assert timelines.layout(HERE, 300, 9) is None
    assert not timelines.of_scope


def test_grouped_when_of_any_keys_then_each_with_its_places() -> None:
    keys = np.array([5, 3, 5, -1, 3])
    places = {key: np.arange(5)[where].tolist() for key, where in rows_by_key(keys)}
    assert places == {-1: [3], 3: [1, 4], 5: [0, 2]}
    assert list(rows_by_key(np.zeros(0, np.int64))) == []
    assert [key for key, _ in rows_by_key(np.full(3, 7))] == [7]
