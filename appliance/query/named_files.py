"""The type of a setting that gives files names; apart, as settings are read by every command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.settings.types import FilePath

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Files by name."""

    expected: str = "names and files such as {bad-addresses: lists/bad.txt}"

    def parse(self, raw: object, folder: Path) -> Mapping[str, Path]:
        """Return the files; a relative path starts at the folder of the configuration file."""
        if raw == "":
            return {}
        if not isinstance(raw, dict) or not all(_NAME.fullmatch(str(name)) for name in raw):
            raise ValueError(raw)
        return {str(name): FilePath().parse(path, folder) for name, path in raw.items()}
