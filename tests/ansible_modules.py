"""Packages that lie beside the playbook, and are no part of the program: `debian`, `image`, ..."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ANSIBLE = Path(__file__).parents[1] / "ansible"


@contextmanager
def package_beside_playbook(module: str) -> Iterator[ModuleType]:
    """Import a module there, which imports the others, and return its package."""
    sys.path.insert(0, str(ANSIBLE))
    try:
        importlib.import_module(module)
        yield sys.modules[module.partition(".")[0]]
    finally:
        sys.path.remove(str(ANSIBLE))
