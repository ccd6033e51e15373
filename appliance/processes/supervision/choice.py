"""Which supervisor a configuration asks for, and how the collector is started under it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.privileged.client import HELPER_SOCKET, has_helper
from appliance.privileged.protocol import COLLECTOR_UNIT
from appliance.processes.starting import command_line
from appliance.processes.supervision.local import LocalSupervisor
from appliance.processes.supervision.supervisor import Supervisor
from appliance.processes.supervision.systemd import SystemdSupervisor
from appliance.settings.file import Settings
from appliance.settings.types import ListenAddress

PID_FILE = "collector.pid"
LISTEN_VARIABLE = "APPLIANCE_COLLECTOR_LISTEN"
"""Set by `appliance run --listen`, so that the API starts the collector at the same addresses."""


def supervisor_of(settings: Settings, environment: Mapping[str, str] = os.environ) -> Supervisor:
    """Return what starts and stops the collector of this configuration."""
    unit = settings["collector.unit"]
    if unit:
        may_not = unit == COLLECTOR_UNIT and os.geteuid() != 0 and has_helper()
        return SystemdSupervisor(unit, helper=HELPER_SOCKET if may_not else None)
    return LocalSupervisor(
        pid_file_path(settings), collect_command(settings, environment), environment
    )


def pid_file_path(settings: Settings) -> Path:
    """Return where the collector keeps its process number."""
    folder: Path = settings["data_directory"]
    return folder / PID_FILE


def collect_command(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return the command line of the collector."""
    return command_line(collect_arguments(settings, environment))


def collect_arguments(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return the arguments of `appliance` that start the collector."""
    listen = environment.get(LISTEN_VARIABLE, "").split()
    listening = [word for address in listen for word in ("--listen", address)]
    return [*configuration_arguments(settings), "collect", *listening]


def configuration_arguments(settings: Settings) -> list[str]:
    """Return the arguments that make another process read the same configuration."""
    file = settings.file
    return ["-confPath", f"{file.parent}/"] if file is not None else []


def listen_environment(listen: Sequence[ListenAddress]) -> dict[str, str]:
    """Return what makes `supervisor_of` start the collector at these addresses; none: nothing."""
    return {LISTEN_VARIABLE: " ".join(map(str, listen))} if listen else {}
