"""Lines of `appliance check` on anonymisation: the key, and what else tells addresses."""

from __future__ import annotations

from appliance import FAIL, OK, Finding, Settings, SettingsError
from appliance.plugins.anonymise.address_map import address_map_of
from appliance.plugins.anonymise.anonymise_settings import networks_of
from appliance.settings.file import BUILT_IN

WHAT = "anonymisation"


class AnonymisingCheck:
    """Looks at settings and the key; changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def findings(self) -> list[Finding]:
        """Return a line on the key, and one for each thing that tells addresses all the same."""
        settings = self._settings
        try:
            address_map_of(settings)
        except SettingsError as error:
            return [Finding(FAIL, WHAT, str(error))]
        networks = networks_of(settings)
        shown = ", ".join(map(str, networks[:3])) + (", ..." if len(networks) > 3 else "")
        findings = [Finding(OK, WHAT, f"addresses in {shown} are replaced before they are written")]
        engine = settings["collector.engine"]
        if engine != BUILT_IN:
            text = f"{engine} receives, and writes addresses as they are to its own tables"
            findings.append(Finding(FAIL, WHAT, text))
        return findings
