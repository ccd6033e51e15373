"""The collector as a service: started, stopped and looked at from other processes.

One interface (`Supervisor`) and two ways: a pid file that the collector holds locked, or a systemd
unit. Both learn from the collector itself, in systemd's protocol, when it is ready and why it is
not.
"""

from appliance.collector.supervision.choice import supervisor_of
from appliance.collector.supervision.local import LocalSupervisor
from appliance.collector.supervision.pid_file import PidFile
from appliance.collector.supervision.revival import Revival
from appliance.collector.supervision.supervisor import (
    AlreadyRunning,
    CollectorProcess,
    NotRunning,
    StartFailed,
    StopFailed,
    SupervisionError,
    Supervisor,
)

__all__ = [
    "AlreadyRunning",
    "CollectorProcess",
    "LocalSupervisor",
    "NotRunning",
    "PidFile",
    "Revival",
    "StartFailed",
    "StopFailed",
    "SupervisionError",
    "Supervisor",
    "supervisor_of",
]
