"""The settings of ClickHouse: where its servers are, how to sign in, how long rows are kept."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.settings.file import Setting, Settings
from appliance.settings.raw_values import scalar_text, within
from appliance.settings.types import (
    Boolean,
    Integer,
    ListenAddress,
    OptionalFilePath,
    SecretText,
    Text,
    TextList,
)

if TYPE_CHECKING:
    from appliance.plugins.clickhouse.http import Server

_LONGEST_NAME = 64
_MOST_DAYS = 36_500


class HostPort(ListenAddress):
    """Where a server is: the same with a host name, or an address."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach every server of a cluster.

    Attributes
    ----------
    tls
        Whether the port speaks TLS.
    authority_file
        Certificates that a server's must be signed by; None: those of the machine.
    """

    database: str = "default"
    user: str = ""
    password: str = ""
    tls: bool = False
    authority_file: Path | None = None


@dataclass(frozen=True, slots=True)
class HostPortList:
    """Servers by host name or address, each with its port; no two equal."""

    expected: str = "a list of servers such as db1.example.net:8123 or [2001:db8::1]:8123"

    def parse(self, raw: object, folder: Path) -> tuple[HostPort, ...]:
        """Return the servers."""
        servers = tuple(_host_port(text) for text in TextList().parse(raw, folder))
        if len(set(servers)) < len(servers):
            raise ValueError(raw)
        return servers


@dataclass(frozen=True, slots=True)
class DatabaseName:
    """The name of a database or a cluster, as it needs no quotes."""

    may_be_empty: bool = False

    @property
    def expected(self) -> str:
        """What is allowed."""
        return "a name of letters, digits and _" + (", or empty" if self.may_be_empty else "")

    def parse(self, raw: object, folder: Path) -> str:
        """Return the name."""
        name = scalar_text(raw)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and (name or not self.may_be_empty):
            raise ValueError(raw)
        return name


@dataclass(frozen=True, slots=True)
class CollectorName:
    """The name of a collector, or empty for that of the host."""

    expected: str = f"at most {_LONGEST_NAME} letters, digits, dots, - and _, or empty"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the name."""
        name = scalar_text(raw)
        if not re.fullmatch(rf"[A-Za-z0-9._-]{{0,{_LONGEST_NAME}}}", name):
            raise ValueError(raw)
        return name


ADDRESSES = Setting(
    "clickhouse.addresses",
    HostPortList(),
    [],
    "Servers of ClickHouse that every flow is also written to, by their HTTP ports: [db1:8123]. Of"
    " a cluster name all of them: another one of a shard is taken when one is down. Empty: none.",
)
CLUSTER = Setting(
    "clickhouse.cluster",
    DatabaseName(may_be_empty=True),
    "",
    "The cluster's name in remote_servers of the servers' own configuration, which also has the"
    " macros shard and replica, and ZooKeeper. Empty: a single server.",
)
DATABASE = Setting(
    "clickhouse.database",
    DatabaseName(),
    "netflow",
    "The database there; it and its tables are made where they are missing.",
)
USER = Setting("clickhouse.user", Text(), "", "Who signs in there. Empty: the user default.")
PASSWORD = Setting("clickhouse.password", SecretText(), "", "The password of clickhouse.user.")
TLS = Setting(
    "clickhouse.tls",
    Boolean(),
    False,
    "Whether the ports of clickhouse.addresses speak HTTPS, mostly 8443.",
)
CA_FILE = Setting(
    "clickhouse.ca_file",
    OptionalFilePath(),
    "",
    "With clickhouse.tls: certificates (PEM) that a server's own must be signed by. Empty: those"
    " that this machine trusts.",
)
DAYS = Setting(
    "clickhouse.days",
    Integer(0, _MOST_DAYS),
    90,
    "So many days flows are kept in ClickHouse; older ones go by whole days (UTC). 0: for ever.",
)
SUM_DAYS = Setting(
    "clickhouse.sum_days",
    Integer(0, _MOST_DAYS),
    400,
    "So many days the sums of each minute are kept in ClickHouse. 0: for ever.",
)
SAMPLE_DAYS = Setting(
    "clickhouse.sample_days",
    Integer(0, _MOST_DAYS),
    1825,
    "So many days the samples of days are kept in ClickHouse; those of hours go with the flows. How"
    " many flows they have is in samples.hour_rows and samples.day_rows. 0: for ever.",
)
COLLECTOR_NAME = Setting(
    "collector.name",
    CollectorName(),
    "",
    "What this collector is called where several write into one store, such as ClickHouse; no two"
    " may be called alike. Empty: the name of the host.",
)
SETTINGS: list[Setting[Any]] = [
    COLLECTOR_NAME,
    ADDRESSES,
    CLUSTER,
    DATABASE,
    USER,
    PASSWORD,
    TLS,
    CA_FILE,
    DAYS,
    SUM_DAYS,
    SAMPLE_DAYS,
]


def collector_name(settings: Settings) -> str:
    """Return what this collector is called."""
    return settings[COLLECTOR_NAME] or socket.gethostname()[:_LONGEST_NAME] or "collector"


def access_of(settings: Settings) -> Access:
    """Return how the servers are reached."""
    return Access(
        settings[DATABASE],
        settings[USER],
        settings[PASSWORD],
        settings[TLS],
        settings[CA_FILE],
    )


def servers_of(settings: Settings) -> list[Server]:
    """Return the servers that are configured; nothing is opened."""
    from appliance.plugins.clickhouse.http import Server

    return [Server(address, access_of(settings)) for address in settings[ADDRESSES]]


def _host_port(text: str) -> HostPort:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        fits = re.fullmatch(r"[0-9A-Fa-f:.]+", host)
    else:
        fits = re.fullmatch(r"[A-Za-z0-9._-]+", host)
    if not (colon and fits and port.isdecimal()):
        raise ValueError(text)
    return HostPort(host, within(int(port), 1, 65535))
