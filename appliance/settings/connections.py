"""The settings of exporters that connect, by TCP or TLS."""

from __future__ import annotations

from typing import Any

from appliance.settings.types import (
    Duration,
    Integer,
    OptionalAddressList,
    OptionalFilePath,
    Setting,
)

CONNECTION_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "collector.listen_tcp",
        OptionalAddressList(),
        [],
        'Where IPFIX over TCP is received, such as ["[::]:4739"]. Empty: nowhere. allowed_exporters'
        " counts here too. SCTP and DTLS are not received.",
    ),
    Setting(
        "collector.listen_tls",
        OptionalAddressList(),
        [],
        'Where IPFIX over TLS is received, such as ["[::]:4740"]. It needs tls_certificate and'
        " tls_key.",
    ),
    Setting(
        "collector.tls_certificate",
        OptionalFilePath(),
        "",
        "Certificate with its chain (PEM) that exporters see. Like the two files below it is read"
        " again when it has changed, for connections from then on.",
    ),
    Setting("collector.tls_key", OptionalFilePath(), "", "The certificate's private key (PEM)."),
    Setting(
        "collector.tls_client_ca",
        OptionalFilePath(),
        "",
        "Certificates (PEM) of those who may sign an exporter's certificate. With it exporters must"
        " show one; empty asks for none.",
    ),
    Setting(
        "collector.max_connections",
        Integer(1, 8192),
        512,
        "How many exporters' connections there are at a time; each may take 400 kB. With all taken,"
        " a further one gets the place of the longest silent one of the exporter that has most.",
    ),
    Setting(
        "collector.max_connections_per_exporter",
        Integer(1, 8192),
        16,
        "How many of them may be of one address.",
    ),
    Setting(
        "collector.connection_idle_timeout",
        Duration(),
        "0s",
        "Connections on which nothing came for so long are closed. 0s: never; those of exporters"
        " that are gone are noticed within two minutes all the same.",
    ),
)
