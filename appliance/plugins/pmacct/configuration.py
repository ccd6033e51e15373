"""The settings of pmacct's tables."""

from __future__ import annotations

from appliance.setting_types import Text
from appliance.settings import Setting

TIME_ZONE = Setting(
    "flows.pmacct_time_zone",
    Text(),
    "",
    "The time zone of the stamps in a table of pmacct that is read, such as Europe/Berlin. Empty is"
    " that of the MySQL server, or of this machine for a SQLite file.",
)
