"""Where the settings' file is; found without reading it, which every command waits for."""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "appliance.yml"
SYSTEM_FOLDER = Path("/etc/netflow-appliance")

ENVIRONMENT_VARIABLE = "APPLIANCE_CONF"
"""Names the configuration folder where `-confPath` does not."""


def find_settings_file(folder: Path | None = None) -> Path | None:
    """Return the path of `appliance.yml`; None where there is none, and all is default.

    Parameters
    ----------
    folder
        As the user named it; the file need not be there. None looks at the folder in
        APPLIANCE_CONF, likewise, then for the file in `./conf`, then in `/etc/netflow-appliance`.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if folder or named:
        return (folder or Path(str(named))) / FILE_NAME
    usual = (place / FILE_NAME for place in (Path("conf"), SYSTEM_FOLDER))
    return next((path for path in usual if path.is_file()), None)
