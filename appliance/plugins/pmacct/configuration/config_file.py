"""The collector configuration as a file that decides settings."""

from __future__ import annotations

from contextlib import suppress

from appliance.contracts import HINT, Overrides
from appliance.errors import SettingsError
from appliance.plugins.pmacct.checks import collector_findings, collector_lines
from appliance.plugins.pmacct.configuration.active_config import (
    activate_config,
    active_config,
    active_version,
    config_from_file,
)
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.overrides import overrides_beside, raw_element_overrides
from appliance.settings.file import EffectiveSetting, Settings


class CollectorConfigFile:
    """An `OverridingFile`; `settings` are those of `appliance.yml`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def active(self) -> list[Overrides]:
        """Return what the configuration decides that the collector was started with."""
        config = active_config(self._settings)
        overrides = self._overrides(config)
        # A file of primitives that is gone keeps the next start from working, nothing else.
        with suppress(SettingsError):
            overrides += raw_element_overrides(self._settings, config)
        return overrides

    def upcoming(self) -> list[Overrides]:
        """Return what the configuration decides as its file is now."""
        config = config_from_file(self._settings)
        return [*self._overrides(config), *raw_element_overrides(self._settings, config)]

    def activate(self) -> None:
        """Copy the file: the copy is what counts until the next start."""
        activate_config(self._settings)

    def version(self) -> str:
        """Return what is another text once there is another copy."""
        return active_version(self._settings)

    def lines(self) -> list[EffectiveSetting]:
        """Return each value in force of the file as it is now."""
        return collector_lines(self._settings)

    def hints(self) -> list[str]:
        """Return what there is to say of the file as it is now."""
        return [f.text for f in collector_findings(self._settings) if f.status == HINT]

    def _overrides(self, config: EffectiveConfig | None) -> list[Overrides]:
        return [overrides_beside(self._settings, config)] if config is not None else []
