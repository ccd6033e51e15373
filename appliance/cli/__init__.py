"""The command line: one module for each subcommand, and the table that says which there are.

Nothing is imported from here before its command is called, so `appliance --help` stays quick. A
module offers one click command under the name `command`; its first help line is the table's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class CoreCommand(NamedTuple):
    """Where a command's code is, and the line that `appliance --help` prints for it."""

    module: str
    help: str
    hidden: bool = False


CORE_COMMANDS: Mapping[str, CoreCommand] = MappingProxyType(
    {
        "run": CoreCommand("appliance.cli.run", "Run the whole appliance until Ctrl-C."),
        "collect": CoreCommand("appliance.cli.collect", "Receive flows and write the flow log."),
        "serve": CoreCommand("appliance.cli.serve", "Answer the REST API."),
        "cert": CoreCommand("appliance.cli.cert", "Make a self-signed certificate for HTTPS."),
        "top": CoreCommand("appliance.cli.top", "Show who and what made the most traffic."),
        "series": CoreCommand("appliance.cli.series", "Draw traffic over time."),
        "flows": CoreCommand("appliance.cli.flows", "Search single flows."),
        "export": CoreCommand(
            "appliance.cli.export", "Write any number of flows as CSV, JSON, Parquet or IPFIX."
        ),
        "sql": CoreCommand("appliance.cli.sql", "Ask the flow log in SQL."),
        "exporters": CoreCommand(
            "appliance.cli.exporters", "Show who sends flows, what is lost, how it is sampled."
        ),
        "check": CoreCommand("appliance.cli.check", "Check the configuration and this machine."),
        "manual": CoreCommand("appliance.cli.manual", "Read the manual."),
        "plugins": CoreCommand("appliance.cli.plugins", "List plugins and their hooks."),
        "decode": CoreCommand(
            "appliance.cli.decode",
            "Print the records of a capture or of a file of IPFIX messages.",
        ),
        "import": CoreCommand(
            "appliance.cli.import_", "Write captures, or files of IPFIX messages, to the flow log."
        ),
        "replay": CoreCommand("appliance.cli.replay", "Send captures to a collector."),
        "generate": CoreCommand(
            "appliance.cli.generate", "Send the flows of invented exporters to a collector."
        ),
        "backup": CoreCommand(
            "appliance.cli.backup", "Save databases, accounts, secrets and settings to a file."
        ),
        "restore": CoreCommand("appliance.cli.restore", "Put back what a backup holds."),
        "demo-exporters": CoreCommand(
            "appliance.cli.demo", "The exporters of the demo.", hidden=True
        ),
        "loader": CoreCommand("appliance.cli.loader", "The collector's helper.", hidden=True),
        "poller": CoreCommand(
            "appliance.cli.poller", "What asks exporters on a schedule.", hidden=True
        ),
    }
)
