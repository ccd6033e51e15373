"""What a guarded object is called with reaches it, whatever the arguments are called."""

from __future__ import annotations

from typing import Any

from appliance.guard import Guard, PluginFailures, guard_object
from appliance.guard.guards import Contract
from appliance.guard.values import nothing


class Store:
    """Remembers what it was called with."""

    def change_exporter(self, exporter: int, *, name: str | None = None, info: Any = None) -> None:
        self.changed = (exporter, name, info)


def test_store_when_an_exporter_is_named_then_the_name_reaches_it():
    store = Store()
    made: Any = guard_object(
        Guard("mine", "store", PluginFailures()), store, Contract({"change_exporter": nothing})
    )
    made.change_exporter(1, name="core", info="rack 4")
    assert store.changed == (1, "core", "rack 4")
