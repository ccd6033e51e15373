"""The errors that the appliance raises on purpose: one base class, facts as attributes, text
built from them.

Texts are lower case, without a full stop, and say what was expected and what was found.
`MalformedMessage` lives in `appliance.decoding`, which imports nothing from here; it is re-exported
for plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class ApplianceError(Exception):
    """Base of every expected error; the command line prints its text without a traceback.

    Attributes
    ----------
    exit_code
        What the command line exits with.
    """

    exit_code = 1


class SettingsError(ApplianceError):
    """A configuration file or option says something that cannot be used."""

    exit_code = 2

    def __init__(self, problem: str, *, file: Path | None = None, key: str | None = None) -> None:
        self.problem, self.file, self.key = problem, file, key
        where = ": ".join(str(part) for part in (file, key) if part)
        super().__init__(f"{where}: {problem}" if where else problem)


class StartupError(ApplianceError):
    """A plugin, or the machine, keeps the appliance from starting."""

    exit_code = 2


class AddressBusyError(StartupError):
    """Another program listens where a server is to."""


class CaptureError(ApplianceError):
    """A capture file cannot be read."""

    def __init__(self, file: Path | str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}")


class StorageError(ApplianceError):
    """The flow log or a database cannot be written or read now.

    Attributes
    ----------
    sentence
        For callers of the API, where more can be said than that a database is away.
    """

    sentence = ""


class LostAccountsError(StorageError):
    """The accounts went away while they were in use: all of them, with the database's file."""

    sentence = (
        "The database of accounts was deleted or replaced while in use: restore it, or restart the"
        " appliance to make a new administrator"
    )

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"database {name} was deleted or replaced while in use and has no administrator now:"
            " restore it, or restart"
        )


class QueryError(ApplianceError):
    """A question to the flow log is not understood, or ran into one of its limits."""


class InvalidQueryError(QueryError):
    """A question to the flow log is not understood: it is wrong whatever the log holds."""

    exit_code = 2


class QueryCancelledError(QueryError):
    """Nobody wants the answer any more."""


class RequestError(ApplianceError):
    """A request to the web server cannot be answered; becomes its JSON answer.

    Attributes
    ----------
    status
        Of HTTP, from 400.
    message
        One sentence for the caller.
    code
        What a program can tell it by, where status and path do not say enough.
    headers
        Further ones of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.message, self.code = status, message, code
        self.headers: Mapping[str, str] = headers or {}
        super().__init__(message)
