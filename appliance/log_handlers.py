"""Where the log goes: `log_file`, else the syslog of `log_facility`, else standard error."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

SYSLOG_SOCKET = Path("/dev/log")
FACILITIES = ("auth", "mail", "daemon", "kern", "user", *(f"local{n}" for n in range(8)))
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_handler(file: Path | None, facility: str) -> logging.Handler | None:
    """Return where log lines go; None: to standard error.

    A log file that was renamed is opened anew with the next line, so that it can be rotated. One
    that cannot be written, and a syslog that is not there, leave standard error in place.
    """
    try:
        if file is not None:
            handler: logging.Handler = logging.handlers.WatchedFileHandler(file)
            handler.setFormatter(logging.Formatter(_FORMAT))
            return handler
        if facility and SYSLOG_SOCKET.exists():
            return _syslog(facility)
    except OSError as error:
        logging.getLogger(__name__).warning("the log stays on standard error: %s", error)
    return None


def _syslog(facility: str) -> logging.Handler:
    handler = logging.handlers.SysLogHandler(
        str(SYSLOG_SOCKET), logging.handlers.SysLogHandler.facility_names[facility]
    )
    handler.setFormatter(logging.Formatter("netflow-appliance: %(message)s"))
    return handler
