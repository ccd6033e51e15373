"""peewee without PyMySQL, which it imports wherever it is installed.

With its cryptography PyMySQL takes 14 MB and 70 ms of a process, and most have SQLite only.
`mysql_server` imports it when it is wanted. Import peewee from here.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_DRIVERS = ("pymysql", "MySQLdb")


def _hide_drivers() -> list[str]:
    hidden = [name for name in _DRIVERS if name not in sys.modules]
    # What the import system takes for "not installed" (importlib, sys.modules).
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    return hidden


_hidden = _hide_drivers()
try:
    import peewee
finally:
    for _name in _hidden:
        del sys.modules[_name]


class _Driver:
    """What peewee has in place of PyMySQL, for databases that are not ours."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("pymysql"), name)


if peewee.mysql is None:  # type: ignore[attr-defined]
    peewee.mysql = _Driver()  # type: ignore[attr-defined]

__all__ = ["peewee"]
