"""What starts, stops and watches a collector, whichever way it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from appliance.errors import ApplianceError


class AlreadyRunning(ApplianceError):  # noqa: N818 - it says what is the case
    """There is a collector already.

    Attributes
    ----------
    pid
        Its process.
    """

    exit_code = 2

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(f"a collector runs already, process {pid}")


class NotRunning(ApplianceError):  # noqa: N818
    """There is no collector that could be stopped."""

    def __init__(self) -> None:
        super().__init__("no collector runs")


class SupervisionError(ApplianceError):
    """What looks after the collector cannot do what it was asked to."""


class StartFailed(SupervisionError):  # noqa: N818
    """The collector ended before it was ready, or never was; nothing is left running.

    The text is the collector's own where it said something, and so is the exit code.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class StopFailed(SupervisionError):  # noqa: N818
    """The collector could not be stopped and still runs."""


@dataclass(frozen=True, slots=True)
class CollectorProcess:
    """The state of a collector.

    Attributes
    ----------
    pid
        Its process; 0 when none runs.
    crashed
        None runs, and nobody stopped the last one.
    """

    pid: int = 0
    crashed: bool = False

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self.pid != 0


class Supervisor(Protocol):
    """Starts and stops the one collector of a configuration."""

    def start(self) -> CollectorProcess:
        """Start the collector and wait until it receives.

        Raises
        ------
        AlreadyRunning, StartFailed
            It did not start; a collector that failed is gone.
        """
        ...

    def stop(self) -> None:
        """Stop the collector; return when everything that it received is written.

        Raises
        ------
        NotRunning, StopFailed
            There was none, or it is still there.
        """
        ...

    def status(self) -> CollectorProcess:
        """Tell whether it runs; what is left of a crashed one does not count."""
        ...
