"""What the core itself can be told: the table of its settings, with defaults and explanations.

Plugins add theirs through `register_settings`; `appliance.settings` reads the values.
"""

from __future__ import annotations

from typing import Any

from appliance.database_urls import DatabaseUrl
from appliance.log_handlers import FACILITIES
from appliance.query.named_files import NamedFiles
from appliance.settings.connections import CONNECTION_SETTINGS
from appliance.settings.kept_values import HeaderColumnList, RawElementList
from appliance.settings.location import SYSTEM_FOLDER
from appliance.settings.mail_addresses import MailAccount
from appliance.settings.own_networks import LocalNetworks
from appliance.settings.server_addresses import ServerAddressList
from appliance.settings.types import (
    AddressList,
    Boolean,
    Choice,
    Duration,
    ElementNames,
    FilePath,
    Integer,
    NetworkList,
    NetworkRates,
    Number,
    OptionalFilePath,
    Setting,
    Size,
    Text,
    TextList,
    TimeZone,
)

SYSTEM_DATA_FOLDER = "/var/lib/netflow-appliance"
BUILT_IN = "builtin"
"""The engine that is the appliance's own receiver."""

CORE_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "data_directory",
        FilePath(),
        "../var",
        "Where the flow log and what must survive a restart are kept. Relative paths start at the"
        f" folder of this file. Below {SYSTEM_FOLDER} the default is {SYSTEM_DATA_FOLDER}.",
    ),
    Setting(
        "log_level",
        Choice(("debug", "info", "warning", "error")),
        "info",
        "How much is written to the log.",
    ),
    Setting(
        "log_file",
        OptionalFilePath(),
        "",
        "Where the log goes; a file that was renamed is begun anew. Empty: to standard error.",
    ),
    Setting(
        "log_facility",
        Choice(("", *FACILITIES)),
        "",
        "Without a log_file, the log goes to syslog, as this facility, such as daemon or local3."
        " Empty: to standard error.",
    ),
    Setting(
        "local_networks",
        NetworkList(),
        [
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("fc00::/7", "fe80::/10"),
        ],
        "Which addresses are inside; used to tell upload from download where the exporter does not"
        " say the direction.",
    ),
    Setting(
        "networks",
        LocalNetworks(),
        [],
        "The operator's own networks: a list of {name: office, prefixes: [192.0.2.0/24], site:"
        " Vienna, role: users}; site and role may be left out. Of nested prefixes the longest"
        " counts. They are inside, as local_networks are. Flows get network, site and role of both"
        " sides, and traffic_direction: inbound, outbound, internal or through.",
    ),
    Setting(
        "collector.listen",
        AddressList(),
        ["[::]:2055", "[::]:4739"],
        "Where datagrams are received; every protocol version is understood on every port."
        " [::] is all addresses, IPv6 and IPv4.",
    ),
    Setting(
        "collector.engine",
        Text(),
        BUILT_IN,
        "What receives: builtin, the appliance itself, or an engine that a plugin brings. With such"
        " an engine sums are made of the bins of its tables that are complete.",
    ),
    Setting(
        "collector.unit",
        Text(),
        "",
        "The systemd unit that runs the collector, such as appliance-collector.service. Empty: the"
        " collector is started and stopped through its pid file, collector.pid in data_directory.",
    ),
    Setting(
        "collector.receive_buffer",
        Size(),
        "64MB",
        "Kernel memory for each listening port: what may wait while the collector is busy.",
    ),
    Setting(
        "collector.allowed_exporters",
        NetworkList(),
        [],
        "Only datagrams from these addresses are decoded, others are counted and dropped."
        " Empty allows all.",
    ),
    *CONNECTION_SETTINGS,
    Setting(
        "collector.trust_exporter_address",
        Choice(("options", "records", "off")),
        "options",
        "Whom a relay may name as the exporter of its flows (elements 130 and 131): options: for an"
        " observation domain in options records; records: in each flow record too;"
        " off: nobody, the sender is the exporter.",
    ),
    Setting(
        "collector.max_exporters",
        Integer(1, 16384),
        1024,
        "How many exporters are remembered at once. An exporter that sent for a minute is known and"
        " gives way only to another known one; until then it is a newcomer.",
    ),
    Setting(
        "collector.max_newcomers",
        Integer(1, 16384),
        256,
        "How many newcomers have room when all places of exporters are taken. When there are more,"
        " those that sent least give way, counted: anybody can invent addresses. Exporters in"
        " allowed_exporters, and those that settings below name, are never newcomers.",
    ),
    Setting(
        "collector.max_templates_per_exporter",
        Integer(1, 65536),
        4096,
        "How many templates one exporter may keep; a further one is refused and counted.",
    ),
    Setting(
        "collector.waiting_room_octets",
        Size(),
        "1MB",
        "How much data of one exporter waits for a template that has not come yet.",
    ),
    Setting(
        "collector.waiting_room_seconds",
        Number(0),
        1800,
        "How long such data waits. Many exporters repeat their templates every 15 to 30 minutes.",
    ),
    Setting(
        "collector.template_timeout",
        Duration(),
        "0s",
        "Forget a template that was not repeated for so long; at least three times the exporters'"
        " refresh interval. 0s keeps templates until they are replaced.",
    ),
    Setting(
        "collector.default_sampling_rate",
        Number(0),
        0,
        "Sampling rate of exporters that tell none: 1000 means one packet in 1000. 0 counts such"
        " traffic as it is and reports the rate as assumed.",
    ),
    Setting(
        "collector.fastest_interface",
        Number(1e6),
        1_600_000_000_000,
        "Bits a second of the fastest interface of any exporter. A record that claims more than"
        " that carries in the time of its flow (and a second) is kept in the flow log as"
        " implausible, and left out of all sums.",
    ),
    Setting(
        "collector.sampling_overrides",
        NetworkRates(),
        {},
        "Sampling rates of exporters that tell a wrong one or none, such as {192.0.2.0/24: 512}.",
    ),
    Setting(
        "collector.renamed_elements",
        ElementNames(),
        {},
        "Elements that an exporter uses for something else, each a name, a number or"
        ' "enterprise:number", such as {192.0.2.1: {"17163:17": octetDeltaCount}}.',
    ),
    Setting(
        "collector.raw_elements",
        RawElementList(),
        [],
        'Elements that are also kept with their octets as received, such as ["95", "9:12235"]. An'
        ' element\'s second occurrence in a record is "0:95:1".',
    ),
    Setting(
        "collector.header_columns",
        HeaderColumnList(),
        [],
        "Which columns of message headers are also kept, of export_time_milliseconds and"
        " export_sequence_number.",
    ),
    Setting(
        "collector.background",
        Boolean(),
        False,
        "`appliance collect` goes on in the background once it receives, unless something that"
        " waits for it has started it.",
    ),
    Setting(
        "collector.process_file",
        OptionalFilePath(),
        "",
        "`appliance collect` also keeps its process number in this file while it runs.",
    ),
    Setting(
        "collector.netflow_v5_seconds",
        Boolean(),
        False,
        "Exporters of NetFlow v5 count their uptimes in seconds, not in milliseconds.",
    ),
    Setting(
        "flow_log.segment_rows",
        Integer(1000, 10_000_000),
        1_000_000,
        "A segment of the flow log is closed after so many records ...",
    ),
    Setting("flow_log.segment_seconds", Number(1, 3600), 60, "... or after so many seconds."),
    Setting(
        "flow_log.flush_seconds",
        Number(0.05, 10),
        1,
        "How often the open segment is written out: what a crash can lose.",
    ),
    Setting(
        "flow_log.retention_age",
        Duration(),
        "30d",
        "Segments older than this are deleted. 0s keeps them until retention_octets is reached.",
    ),
    Setting(
        "flow_log.retention_octets",
        Size(),
        "20GB",
        "The oldest segments are deleted when the flow log is larger than this.",
    ),
    Setting(
        "flow_log.minimum_free_octets",
        Size(),
        "256MB",
        "With less free space than this on its disk, the collector stops writing, counts what it"
        " drops, and goes on when there is space again.",
    ),
    Setting("search.memory", Size(), "512MB", "Memory that one query of the flow log may use."),
    Setting("search.threads", Integer(1, 256), 2, "Threads that one query may use."),
    Setting("search.timeout", Duration(), "60s", "A query that takes longer is stopped."),
    Setting(
        "search.source",
        Text(),
        "log",
        "What answers questions about flows: log is the own flow log. A plugin may offer another,"
        " such as a database that several collectors fill.",
    ),
    Setting(
        "search.exact_rows",
        Integer(0, 10**12),
        20_000_000,
        "A question over more records than this is answered from samples, with its error, unless it"
        " asks for the exact figures.",
    ),
    Setting(
        "search.lists",
        NamedFiles(),
        {},
        "Lists of addresses that filters name, such as ip in @bad-addresses: files with an address"
        " or network a line, # begins a comment. They are read again when they have changed.",
    ),
    Setting(
        "samples.hour_rows",
        Integer(0, 5_000_000),
        200_000,
        "So many flows of each hour are kept as a sample, as long as the flow log keeps the others."
        " 0 keeps no samples.",
    ),
    Setting(
        "samples.day_rows",
        Integer(1000, 20_000_000),
        500_000,
        "So many flows of each day, kept for samples.day_age ...",
    ),
    Setting(
        "samples.month_rows",
        Integer(1000, 20_000_000),
        1_000_000,
        "... and so many of each month, kept for ever.",
    ),
    Setting("samples.day_age", Duration(), "1825d", "Samples of days older than this are deleted."),
    Setting(
        "timezone",
        TimeZone(),
        "",
        "The zone of times in answers, and of the days, weeks and months that figures are grouped"
        " by, such as Europe/Vienna. Empty is the machine's own.",
    ),
    Setting(
        "mail.server",
        MailAccount(),
        "",
        "What sends mail with reports, in apprise's form: mailtos://user:password@mail.example.com"
        "?from=netflow@example.com speaks STARTTLS at port 587, with mode=ssl TLS at 465, mailto://"
        " no TLS. Empty: no such mail is sent.",
    ),
    Setting(
        "web.listen",
        ServerAddressList(),
        ["127.0.0.1:8443"],
        "Where the REST API and the console answer, beside the address in api_server.yml. A UNIX"
        " socket, unix:/run/x/api.sock, is for a proxy on this machine: what comes there is plain"
        " HTTP, and X-Forwarded-For and X-Forwarded-Proto are believed.",
    ),
    Setting(
        "web.tls_certificate",
        OptionalFilePath(),
        "",
        "Certificate with its chain (PEM). With it and its key, web.listen speaks HTTPS only."
        " Empty: the pair that `appliance cert` made in data_directory, where there is one.",
    ),
    Setting("web.tls_key", OptionalFilePath(), "", "The certificate's private key (PEM)."),
    Setting("web.threads", Integer(1, 256), 8, "How many requests are answered at a time."),
    Setting(
        "web.max_connections",
        Integer(10, 10000),
        512,
        "How many connections each listener holds at a time, a quarter of them of one address (of"
        " IPv6: of a /64 network). With all taken, a further one gets the place of the longest"
        " silent one of the address that has most; at a UNIX socket it waits.",
    ),
    Setting("web.max_body_octets", Size(), "1MB", "Requests with a larger body are refused."),
    Setting(
        "web.idle_timeout", Duration(), "60s", "Connections without a request are closed after it."
    ),
    Setting(
        "show_password_hashes",
        Boolean(),
        True,
        "Whether the list of users has the bcrypt hashes of their passwords, as the published API"
        " says; false leaves null.",
    ),
    Setting(
        "accounts.password_cost",
        Integer(8, 16),
        12,
        "The cost of bcrypt, by which passwords are hashed: one more doubles the time that each"
        " guess takes.",
    ),
    Setting(
        "accounts.admin_password_file",
        OptionalFilePath(),
        "",
        "A file with the password of the first administrator in its first line, for provisioning."
        " It is read once, when nobody is administrator; APPLIANCE_ADMIN_PASSWORD goes before it.",
    ),
    Setting(
        "audit.retention_age",
        Duration(),
        "365d",
        "How long it is kept who changed what.",
    ),
    Setting(
        "database",
        DatabaseUrl(),
        "sqlite:appliance.sqlite",
        "The database of accounts and exporters: sqlite:FILE (in data_directory, or a whole path)"
        " or mysql://user:password@host:port/name. ?ssl=verify behind it asks for TLS and a"
        " certificate of that host, &ca=/path.pem names who may sign it.",
    ),
    Setting(
        "flows.database",
        DatabaseUrl(),
        "sqlite:flows.sqlite",
        "The database of sums over flows, written likewise; the two may be one in MySQL. Another"
        " value than the default goes before the database that a collector configuration names;"
        " with sqlite:flows.sqlite sums are beside its tables (sqlite:./flows.sqlite is that file"
        " nevertheless).",
    ),
    Setting(
        "plugins.disabled",
        TextList(),
        [],
        "Names of plugins that are not loaded, as `appliance plugins` prints them.",
    ),
)
