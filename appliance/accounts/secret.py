"""The secret that signs tokens: a file for its owner only, in the data directory."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from pathlib import Path

from appliance.errors import ApplianceError, StartupError, StorageError
from appliance.settings.file import Settings

SECRET_FILE = "secret"  # noqa: S105 - a file's name
SECRET_OCTETS = 32
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def secret_path(settings: Settings) -> Path:
    """Return where the secret is."""
    path: Path = settings["data_directory"] / SECRET_FILE
    return path


def read_secret(path: Path) -> bytes | None:
    """Return the secret, None when there is none that can be used."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return secret if len(secret) >= SECRET_OCTETS else None


def check_was_started(settings: Settings) -> None:
    """Make sure that this data directory is an appliance's: its first start makes the secret.

    Raises
    ------
    ApplianceError
        None was ever started there.
    """
    path = secret_path(settings)
    if not path.exists():
        raise ApplianceError(
            f"no appliance was ever started on {path.parent}: start it, or name the folder of its"
            " configuration with -confPath"
        )


def secret_or_new(path: Path) -> bytes:
    """Return the secret; make it when there is none. Two who make it at once get the same.

    Raises
    ------
    StartupError
        The file is there but is no secret, or it cannot be written.
    StorageError
        The disk is full or failing.
    """
    found = read_secret(path)
    if found is not None:
        return found
    _write(path, replace=False)
    found = read_secret(path)
    if found is None:
        raise StartupError(f"{path} cannot be read as a secret: make it readable, or delete it")
    return found


def rotate_secret(path: Path) -> None:
    """Put a new secret in place of whatever is there: every signed token is void at once.

    Raises
    ------
    StartupError, StorageError
        It cannot be written.
    """
    _write(path, replace=True)


def _write(path: Path, *, replace: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, replace=replace)
    except OSError as error:
        problem = f"{path} cannot be written: {(error.strerror or '').lower()}"
        # A full disk may have room again later; a wrong folder stays wrong.
        kind = StorageError if error.errno in _PASSING else StartupError
        raise kind(problem) from error


def _put(path: Path, *, replace: bool) -> None:
    """Write the file beside (0600) and put it into place; a link fails where one is already."""
    descriptor, beside = tempfile.mkstemp(prefix=".secret-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(beside, path)
        else:
            os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        Path(beside).unlink(missing_ok=True)
