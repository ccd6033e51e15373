"""Where nfacctd's configuration sends the log: `logfile`, else `syslog`, else standard error."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

from appliance.nfacctd.effective import EffectiveConfig

SYSLOG_SOCKET = Path("/dev/log")
FACILITIES = ("auth", "mail", "daemon", "kern", "user", *(f"local{n}" for n in range(8)))
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_handler(config: EffectiveConfig) -> logging.Handler | None:
    """Return where log lines go; None: where they would go without a configuration.

    A log file that was renamed is opened anew with the next line, so that it can be rotated. One
    that cannot be written, and a syslog that is not there, leave standard error in place.
    """
    file, facility = config.file("logfile"), config.text("syslog").lower()
    try:
        if file is not None:
            handler: logging.Handler = logging.handlers.WatchedFileHandler(file)
            handler.setFormatter(logging.Formatter(_FORMAT))
            return handler
        if facility in FACILITIES and SYSLOG_SOCKET.exists():
            return _syslog(facility)
    except OSError as error:
        logging.getLogger(__name__).warning("log of the collector configuration: %s", error)
    return None


def _syslog(facility: str) -> logging.Handler:
    handler = logging.handlers.SysLogHandler(
        str(SYSLOG_SOCKET), logging.handlers.SysLogHandler.facility_names[facility]
    )
    handler.setFormatter(logging.Formatter("netflow-appliance: %(message)s"))
    return handler
