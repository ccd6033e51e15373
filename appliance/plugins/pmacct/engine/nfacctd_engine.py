"""The engine `nfacctd`: pmacct's own daemon, and the table of its that is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.contracts import FAIL, HINT, OK, Daemon, Finding, FlowFeed
from appliance.errors import ApplianceError, SettingsError
from appliance.plugins.pmacct.configuration.active_config import NFACCTD, active_config
from appliance.plugins.pmacct.pmacct_settings import TIME_ZONE
from appliance.settings.file import Settings

if TYPE_CHECKING:
    from appliance.plugins.pmacct.feed.table_feed import TableFeed


class NfacctdEngine:
    """An `Engine`; what it runs and reads is the collector configuration in force."""

    name = NFACCTD

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def feed(self) -> FlowFeed:
        """Return what reads the table.

        Raises
        ------
        SettingsError
            There is no configuration, or it fills no table that can be read.
        """
        return table_feed(self._settings)

    def daemon(self) -> Daemon:
        """Return nfacctd, not started.

        Raises
        ------
        SettingsError
            There is no configuration.
        """
        from appliance.plugins.pmacct.engine.nfacctd_process import NfacctdProcess

        config = active_config(self._settings)
        if config is None:
            raise SettingsError("nfacctd needs a configuration", key="collector.config")
        return NfacctdProcess(config, self._settings["data_directory"])


def engine_findings(settings: Settings) -> list[Finding]:
    """Look at what the engine needs, where it is chosen, and at what its tables lack."""
    if settings["collector.engine"] != NFACCTD:
        return []
    from appliance.plugins.pmacct.engine.nfacctd_process import nfacctd_program

    try:
        program = nfacctd_program()
        feed = table_feed(settings)
        try:
            lacks = feed.check()
        finally:
            feed.close()
    except ApplianceError as error:
        return [Finding(FAIL, NFACCTD, str(error))]
    there = Finding(OK, NFACCTD, f"{program} fills {feed.source}")
    return [there, *(Finding(HINT, NFACCTD, text) for text in lacks)]


def table_feed(settings: Settings) -> TableFeed:
    """Return what reads the table that the configuration in force fills.

    Raises
    ------
    SettingsError
        There is none that can be read.
    """
    from appliance.plugins.pmacct.feed.feed_plan import feed_of_config

    return feed_of_config(active_config(settings), settings[TIME_ZONE])
