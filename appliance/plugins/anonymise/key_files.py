"""The key of anonymisation in a file, in the form that nfanon's -K takes."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from appliance import SettingsError, StorageError
from appliance.plugins.anonymise.anonymise_settings import KEY_FILE

KEY_OCTETS = 32
_LONGEST_FILE = 4096
_MODE = 0o600
_FORBIDDEN = stat.S_IWGRP | stat.S_IRWXO


def read_key(path: Path | None) -> bytes:
    """Return the key in a file: 0x and 64 hexadecimal digits, or 32 characters.

    Raises
    ------
    SettingsError
        There is none, it is no key, or others than owner and group may read it.
    """
    if path is None:
        raise SettingsError("expected a file made by `appliance anonymise key FILE`", key=_NAME)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST_FILE).removesuffix(b"\n")
    except OSError as error:
        raise SettingsError(f"{path}: {str(error.strerror).lower()}", key=_NAME) from error
    if mode & _FORBIDDEN:
        problem = f"{path}: expected nobody but owner and group to read it, found mode"
        raise SettingsError(f"{problem} {stat.S_IMODE(mode):04o}: chmod o=,g-w", key=_NAME)
    try:
        key = bytes.fromhex(text[2:].decode("ascii")) if text.startswith(b"0x") else text
    except ValueError:
        key = b""
    if len(key) != KEY_OCTETS:
        expected = f"expected 0x and {2 * KEY_OCTETS} hexadecimal digits, or {KEY_OCTETS} octets"
        raise SettingsError(f"{path}: {expected}", key=_NAME)
    return key


def write_new_key(path: Path) -> None:
    """Write a new key for its owner only; one that is there is never replaced.

    Raises
    ------
    StorageError
        The file is there already, or cannot be written.
    """
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"0x" + secrets.token_hex(KEY_OCTETS).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        text = f"{path} is there already, and with another key addresses would be others"
        raise StorageError(text) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {str(error.strerror).lower()}") from error


_NAME = KEY_FILE.name
