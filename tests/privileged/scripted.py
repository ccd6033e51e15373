"""A root folder with programs that write down how they were called, and a kernel to steer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from appliance.privileged.programs import Kernel

INTERFACES = "auto eth0\niface eth0 inet dhcp\n"
_SCRIPT = """#!/bin/sh
echo "$(basename "$0") $*" >> "{root}/calls"
env | sort > "{root}/environment"
{body}
"""
PROGRAMS = (
    *("sbin/ifup", "sbin/ifdown", "sbin/ip", "bin/systemctl", "usr/bin/systemd-run"),
    "sbin/ifquery",
)


class SteeredKernel(Kernel):
    """A kernel whose clock, boots and neighbours a test decides."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.boot_id = "first"
        self.gateway_answers = False
        self.asked: list[tuple[str, str]] = []

    def boot(self) -> str:
        return self.boot_id

    def seconds_since_boot(self) -> float:
        return self.now

    def seconds_running(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def has_interface(self, interface: str) -> bool:
        return interface == "eth0"

    def default_gateway(self, interface: str) -> str:
        return "10.7.0.1"

    def answers(self, gateway: str, interface: str) -> bool:
        self.asked.append((gateway, interface))
        return self.gateway_answers


@dataclass
class ScriptedRoot:
    """A folder that stands for `/`."""

    root: Path
    kernel: SteeredKernel = field(default_factory=SteeredKernel)

    def __post_init__(self) -> None:
        for folder in ("etc/network", "proc", "sbin", "bin", "usr/bin", "run"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.write("etc/network/interfaces", INTERFACES)
        self.write("etc/resolv.conf", "nameserver 9.9.9.9\n")
        for program in PROGRAMS:
            self.script(program)
        self.script("sbin/ifquery", 'exec /sbin/ifquery "$@"')

    def script(self, program: str, body: str = "") -> None:
        self.write(program, _SCRIPT.format(root=self.root, body=body))
        (self.root / program).chmod(0o755)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    @property
    def calls(self) -> list[str]:
        """The programs that were run, with their arguments."""
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []
