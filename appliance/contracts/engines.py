"""What receives in place of our own receiver: a program that fills tables of its own."""

from __future__ import annotations

from typing import Protocol

from appliance.contracts.feeds import FlowFeed


class Daemon(Protocol):
    """A program that receives and fills tables; the collector starts and stops it."""

    def start(self) -> None:
        """Start it and wait until it receives.

        Raises
        ------
        ApplianceError
            It does not start; the text says why.
        """
        ...

    def check(self) -> None:
        """Look whether it still works; called several times a second.

        Raises
        ------
        ApplianceError
            It does not: the collector ends.
        """
        ...

    def stop(self) -> None:
        """Let it write what it has, and end."""
        ...


class Engine(Protocol):
    """A program with its tables, for the setting `collector.engine`.

    Attributes
    ----------
    name
        As the setting has it: a short word.
    """

    @property
    def name(self) -> str:
        """Name the engine."""
        ...

    def feed(self) -> FlowFeed:
        """Return what reads the tables that the program fills; nothing is opened yet.

        Raises
        ------
        SettingsError
            It is not configured so that they can be read.
        """
        ...

    def daemon(self) -> Daemon:
        """Return the program, not started.

        Raises
        ------
        SettingsError
            It is not configured.
        """
        ...
