"""The collector as a service: started, stopped and looked at from other processes.

One interface (`Supervisor`) and two ways: a pid file that the collector holds locked, or a systemd
unit. Both learn from the collector itself, in systemd's protocol, when it is ready and why it is
not.
"""

from appliance.processes.supervision.choice import supervisor_of
from appliance.processes.supervision.local import LocalSupervisor
from appliance.processes.supervision.pid_file import PidFile
from appliance.processes.supervision.restart_policy import RestartPolicy
from appliance.processes.supervision.supervisor import (
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
    "RestartPolicy",
    "StartFailed",
    "StopFailed",
    "SupervisionError",
    "Supervisor",
    "supervisor_of",
]
