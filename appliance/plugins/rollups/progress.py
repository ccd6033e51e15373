"""Progress: how far the log is stored, as one row of JSON in the transaction that stores it.

What the loader keeps in memory is good as long as this row is the one that it wrote last; when it
is another, because a commit failed or `appliance rebuild` ran, it begins anew from the row.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.flowlog import Cursor
from appliance.sql import MYSQL
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP_PROGRESS

START = Cursor()


@dataclass(slots=True)
class Progress:
    """How far the log is stored.

    Attributes
    ----------
    flows, options
        Cursors behind what is stored of either family.
    oldest, newest
        Start of the first and of the last minute that ever had flows; 0 without any.
    loaded
        Collection time of the flow stored last, seconds.
    open
        Minutes that are not closed: start, and the cursor before their first flow.
    unwritten
        By open minute, the sums of flows of which only the exact part is stored.
    floor, until
        After a rebuild: flows before the cursor `until` and before the time `floor` are stored
        already.
    generation
        Grows when bins that were final change.
    counters
        What was left out, by name.
    highest_exporter
        The highest identifier of an exporter that was forgotten.
    names_gave_way
        When names of applications last did, seconds since 1970.
    """

    flows: Cursor = START
    options: Cursor = START
    oldest: int = 0
    newest: int = 0
    loaded: float = 0.0
    open: dict[int, Cursor] = field(default_factory=dict)
    unwritten: dict[int, list[int]] = field(default_factory=dict)
    floor: int = 0
    until: Cursor = START
    generation: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    highest_exporter: int = 0
    names_gave_way: float = 0.0

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    def count(self, name: str, n: int) -> None:
        """Add to a counter."""
        if n:
            self.counters[name] = self.counters.get(name, 0) + n


def progress_from_text(text: str) -> Progress:
    """Read what `Progress.text` wrote."""
    content: dict[str, Any] = asdict(Progress()) | json.loads(text)
    for name in ("flows", "options", "until"):
        content[name] = Cursor(*content[name])
    content["open"] = {int(minute): Cursor(*at) for minute, at in content["open"].items()}
    content["unwritten"] = {int(minute): sums for minute, sums in content["unwritten"].items()}
    return Progress(**content)


def read_progress(database: SqlDatabase, *, for_update: bool = False) -> Progress:
    """Return what the database says; `for_update` keeps others from changing it meanwhile."""
    # A writing transaction of SQLite is alone from its beginning.
    lock = " FOR UPDATE" if for_update and database.kind == MYSQL else ""
    found = database.rows(f"SELECT content FROM {ROLLUP_PROGRESS} WHERE id = 1{lock}")
    return progress_from_text(found[0][0]) if found else Progress()


def write_progress(database: SqlDatabase, progress: Progress) -> None:
    """Store it."""
    database.execute(
        f"REPLACE INTO {ROLLUP_PROGRESS} (id, content) VALUES (1, ?)", (progress.text(),)
    )
