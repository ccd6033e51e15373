"""Settings that say where a database is; which plugin opens it, its scheme says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PASSWORD = re.compile(r"(//[^:/@]*:).*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is."""

    expected: str = "sqlite:FILE or mysql://user:password@host:port/name"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the URL as it is."""
        url = str(raw)
        scheme, _, rest = url.partition(":")
        if not rest or not scheme.isalnum():
            raise ValueError(raw)
        if scheme == "mysql":
            parts = urlsplit(url)
            if not parts.hostname or not parts.path.strip("/") or parts.port == 0:
                raise ValueError(raw)
        return url

    def mask(self, raw: object) -> object:
        """Return the URL without its password; whatever stands before the last @ is one."""
        return _PASSWORD.sub(r"\1***@", str(raw))
