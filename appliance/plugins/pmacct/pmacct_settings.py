"""What can be told about pmacct: its configuration, its files, and its tables."""

from __future__ import annotations

from typing import Any

from appliance.settings.file import Setting
from appliance.settings.types import OptionalFilePath, Text, TextList

TIME_ZONE = Setting(
    "flows.pmacct_time_zone",
    Text(),
    "",
    "The time zone of the stamps in a table of pmacct that is read, such as Europe/Berlin. Empty is"
    " that of the MySQL server, or of this machine for a SQLite file.",
)

SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "collector.config",
        OptionalFilePath(),
        "",
        "A collector configuration in nfacctd's format, such as mysql-nfacctd.conf: where to"
        " listen, which tables of pmacct to fill, which database to use. Its values go before those"
        " here. Empty: mysql-nfacctd.conf in data_directory, once the API has made it. With"
        " `engine: nfacctd` pmacct's own daemon receives, with this configuration.",
    ),
    Setting(
        "collector.ignore_unsupported",
        TextList(),
        [],
        "Keys of the collector configuration that may be ignored although the appliance does not"
        " support them and tables will hold something else than nfacctd's, such as"
        " [nfacctd_pro_rating]. Any other such key keeps the collector from starting.",
    ),
    Setting(
        "collector.primitives_file",
        OptionalFilePath(),
        "",
        "A pmacct aggregate_primitives file (see primitives.lst). The elements that it names are"
        " also kept with their octets as received.",
    ),
    Setting(
        "collector.templates_file",
        OptionalFilePath(),
        "",
        "Templates are also kept in this file, in the format of nfacctd's nfacctd_templates_file,"
        " and those that nfacctd left in it are learned at the start.",
    ),
    TIME_ZONE,
)
