"""The loader and its store: pauses that grow, and the cursor that retention keeps to."""

from __future__ import annotations

from typing import Any

from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog import Cursor
from appliance.processes.loader import StoreFiller


class FakeStore:
    def __init__(self) -> None:
        self.away, self.calls, self.expired = False, 0, 0

    def load_once(self, now: float) -> LoadReport:
        self.calls += 1
        if self.away:
            raise StorageError("database is away")
        return LoadReport(rows=5, busy=self.calls % 2 == 1, warnings=["look"])

    def expire(self, now: float) -> int:
        self.expired += 1
        return 0

    def cursor(self) -> tuple[int, int]:
        return (self.calls, 7)


def test_filler_when_the_store_answers_then_cursor_moves_and_expires_now_and_then():
    store: Any = FakeStore()
    filler = StoreFiller(store)
    assert filler.cursor() == Cursor(0, 0)
    assert filler.fill(1.0, 0.0)
    assert not filler.fill(1.0, 0.1)
    assert filler.cursor() == Cursor(2, 7)
    assert store.expired == 1
    filler.fill(1.0, 601.0)
    assert store.expired == 2


def test_filler_when_the_store_is_away_then_pauses_grow_and_the_cursor_stays():
    store: Any = FakeStore()
    filler = StoreFiller(store)
    filler.fill(1.0, 0.0)
    store.away = True
    assert not filler.fill(1.0, 1.0)
    assert not filler.fill(1.0, 1.5)
    assert store.calls == 2
    for moment in (2.0, 3.9, 4.0, 7.9, 8.0):
        filler.fill(1.0, moment)
    assert store.calls == 5
    assert filler.cursor() == Cursor(1, 7)
    store.away = False
    filler.fill(1.0, 1000.0)
    assert filler.cursor() == Cursor(6, 7)
    store.away = True
    filler.fill(1.0, 1001.0)
    filler.fill(1.0, 1002.0)
    assert store.calls == 8
