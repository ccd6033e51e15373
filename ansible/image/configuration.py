"""What the image tells whoever runs it: command, user, ports, volume, health check.

References
----------
OCI image specification 1.1, "Image Configuration". `Healthcheck` is Docker's addition to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from image.base import USER
from image.layers import Layer

NAME = "netflow-appliance"
TITLE = "NetFlow, IPFIX and sFlow collector with a flow log, REST API and web console"
PROGRAM = "/usr/bin/appliance"
PROBE = "/usr/lib/netflow-appliance/probe"
DATA = "/var/lib/netflow-appliance"
PORTS = ("2055/udp", "4739/udp", "8443/tcp")
_SECOND = 10**9
"""Docker writes durations in nanoseconds."""


@dataclass(frozen=True)
class Image:
    """What names, labels and times of one image are made of.

    Attributes
    ----------
    architecture
        As Debian and the specification call it: amd64, arm64.
    epoch
        Seconds; the time of the image and of what is in it.
    """

    version: str
    architecture: str
    epoch: int

    @property
    def tags(self) -> tuple[str, str]:
        """Return the names under which it is loaded, that of the version first."""
        return f"localhost/{NAME}:{self.version}", f"localhost/{NAME}:latest"

    @property
    def created(self) -> str:
        """Return its time, in the form of RFC 3339."""
        return f"{datetime.fromtimestamp(self.epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def labels(self) -> dict[str, str]:
        """Return the facts that registries and people look at."""
        facts = {"title": NAME, "description": TITLE, "version": self.version}
        facts |= {"licenses": "Apache-2.0", "created": self.created}
        return {f"org.opencontainers.image.{name}": text for name, text in facts.items()}


def configuration(image: Image, layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the image's configuration."""
    return {
        "created": image.created,
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "ExposedPorts": {port: {} for port in PORTS},
            "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8", f"HOME={DATA}"],
            # The kernel gives the first process of a container no signal that it does not handle,
            # and all orphans: tini hands signals on and waits for orphans.
            "Entrypoint": ["/usr/bin/tini", "--", PROGRAM],
            "Cmd": ["run", "--make-certificate"],
            "Volumes": {DATA: {}},
            "WorkingDir": "/",
            "Labels": image.labels(),
            "StopSignal": "SIGTERM",
            "Healthcheck": {
                "Test": ["CMD", PROBE],
                "Interval": 30 * _SECOND,
                "Timeout": 10 * _SECOND,
                "StartPeriod": 60 * _SECOND,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.diff_id}" for each in layers]},
        "history": [{"created": image.created, "created_by": each.origin} for each in layers],
    }
