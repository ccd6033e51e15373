"""Calls what plugins registered, so that whatever a plugin does costs only what is its own.

`failures` counts by plugin and part and writes the log line; `guards` is the one broad catch, and
the object that stands in a plugin's place; `batches` checks what decoders and enrichers return,
`methods` what stores, loaders, accounts, feeds and others do, and `registration` what `register_`
hooks return at start.
"""

from appliance.guard.batches import GuardedDecoder, GuardedEnricher, GuardedRedactor
from appliance.guard.engines import GuardedEngine
from appliance.guard.failures import PluginError, PluginFailures
from appliance.guard.guards import Guard, GuardedObject, guard_object

__all__ = [
    "Guard",
    "GuardedDecoder",
    "GuardedEngine",
    "GuardedEnricher",
    "GuardedObject",
    "GuardedRedactor",
    "PluginError",
    "PluginFailures",
    "guard_object",
]
