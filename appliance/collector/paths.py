"""Where the collector keeps what it writes; others read its status there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.collector.status import LOADER_STATUS_FILE, STATUS_FILE
from appliance.flowlog import FLOW_LOG_FOLDER

STATES_FILE = "exporters.json"


@dataclass(frozen=True, slots=True)
class CollectorPaths:
    """Where the collector keeps what it writes."""

    data: Path

    @property
    def flow_log(self) -> Path:
        """The folder of the flow log."""
        return self.data / FLOW_LOG_FOLDER

    @property
    def states(self) -> Path:
        """Templates, sampling and names."""
        return self.data / STATES_FILE

    @property
    def status(self) -> Path:
        """The figures that other processes read."""
        return self.data / STATUS_FILE

    @property
    def loader_status(self) -> Path:
        """Failures of plugins in the loader; there is no such file before the first."""
        return self.data / LOADER_STATUS_FILE
