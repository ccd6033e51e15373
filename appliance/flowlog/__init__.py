"""The flow log: journals, sealed Parquet files, cursors, retention and search.

The collector has a `FlowLogWriter`, the loader process a `Maintainer` and a `FlowLogReader`,
whoever asks a `FlowSearch`. Names are imported when they are first used, so that the collector does
not pay for DuckDB.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.limits import Cursor, FlowLogLimits, QueryLimits
    from appliance.flowlog.maintainer import Maintainer, MaintenanceReport
    from appliance.flowlog.questions import FlowQuestion
    from appliance.flowlog.reader import FlowLogReader, LogSnapshot
    from appliance.flowlog.schema import Rows, batch_from_rows
    from appliance.flowlog.search import FlowSearch
    from appliance.flowlog.writer import FlowLogWriter

FLOW_LOG_FOLDER = "flowlog"
"""Its folder in the data directory."""

SAMPLES_FOLDER = "samples"
"""The folder of its samples, beside it."""

_MODULES = {
    "Condition": "conditions",
    "Cursor": "limits",
    "FlowLogLimits": "limits",
    "FlowLogReader": "reader",
    "FlowLogWriter": "writer",
    "FlowQuestion": "questions",
    "FlowSearch": "search",
    "LogSnapshot": "reader",
    "MaintenanceReport": "maintainer",
    "Maintainer": "maintainer",
    "QueryLimits": "limits",
    "Rows": "schema",
    "batch_from_rows": "schema",
}

__all__ = [
    "FLOW_LOG_FOLDER",
    "SAMPLES_FOLDER",
    "Condition",
    "Cursor",
    "FlowLogLimits",
    "FlowLogReader",
    "FlowLogWriter",
    "FlowQuestion",
    "FlowSearch",
    "LogSnapshot",
    "Maintainer",
    "MaintenanceReport",
    "QueryLimits",
    "Rows",
    "batch_from_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
