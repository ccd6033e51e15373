"""One round of SNMP: 250 exporters with 20 interfaces each, simulated by another process."""

from __future__ import annotations

import multiprocessing
import resource
import selectors
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from appliance.app import build_app
from appliance.contracts import ExporterRecord
from appliance.interface_history import interface_history
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.names.snmp.poller import SnmpPoller
from appliance.settings.file import SettingsFile
from tests.snmp_agents import device, honest

EXPORTERS, INTERFACES = 250, 20
GOAL_SECONDS, GOAL_CORE = 60.0, 0.2
INTERVAL_SECONDS = 300.0


def snmp(folder: Path) -> dict[str, Any]:
    """Poll two rounds; the first also begins every name, the second is the usual one."""
    ours, theirs = multiprocessing.Pipe()
    agents = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    agents.start()
    try:
        port = ours.recv()
        return {name: _round(folder, port) for name in ("first round", "usual round")}
    finally:
        agents.terminate()
        agents.join()


def addresses() -> list[str]:
    return [f"127.0.1.{number}" for number in range(1, EXPORTERS + 1)]


def _round(folder: Path, port: int) -> dict[str, Any]:
    values = {"data_directory": str(folder), "snmp": {"community": "public", "port": str(port)}}
    folder.mkdir(exist_ok=True)
    manager = build_plugin_manager(entry_points=())
    settings = build_app(manager, SettingsFile(None, folder, values)).settings
    exporters = [
        ExporterRecord(number, address, "", "", 0.0, 0.0)
        for number, address in enumerate(addresses(), 1)
    ]
    began, cpu = time.monotonic(), time.process_time()
    report = SnmpPoller(settings).poll(exporters, time.time())
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    history = interface_history(settings)
    return {
        "exporters": report.answered,
        "interfaces": sum(len(history.interfaces_of(address)) for address in addresses()),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "share_of_a_core_in_its_goal": cpu_seconds / GOAL_SECONDS,
        "share_of_a_core_over_the_interval": cpu_seconds / INTERVAL_SECONDS,
        "peak_memory_octets": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "octets_on_disk": history.path.stat().st_size,
    }


def _serve(pipe: Connection) -> None:
    """Answer for every address on one port, until the process is ended."""
    interfaces = {
        index: (f"GigabitEthernet0/{index}", f"customer {index}", 1000)
        for index in range(1, INTERFACES + 1)
    }
    counters = {index: (index << 40, index << 41) for index in interfaces}
    answer = honest(device(interfaces, counters))
    selector, port = selectors.DefaultSelector(), 0
    for address in addresses():
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind((address, port))
        port = own.getsockname()[1]
        selector.register(own, selectors.EVENT_READ)
    pipe.send(port)
    while True:
        for key, _ in selector.select():
            ready: Any = key.fileobj
            datagram, sender = ready.recvfrom(65_535)
            for octets in answer(datagram):
                ready.sendto(octets, sender)
