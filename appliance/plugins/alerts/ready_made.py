"""Rules that come with the appliance, all of them off until somebody switches them on."""

from __future__ import annotations

from appliance.plugins.alerts.rules import Rule

READY_MADE = (
    Rule(
        "interface full, in",
        measure="bps", by="ingress_interface", window=300, condition="utilisation", limit=90,
        text="What fills it is on the page of the interface.", is_on=False,
    ),
    Rule(
        "interface full, out",
        measure="bps", by="egress_interface", window=300, condition="utilisation", limit=90,
        text="What fills it is on the page of the interface.", is_on=False,
    ),
    Rule(
        "scan of many hosts",
        filter="proto tcp and packets < 4", measure="destinations", by="source", window=60,
        limit=500, text="One source tries very many addresses.", is_on=False,
    ),
    Rule(
        "scan of many ports",
        filter="proto tcp and packets < 4", measure="ports", by="source", window=60,
        limit=300, text="One source tries very many ports.", is_on=False,
    ),
    Rule(
        "SYN flood",
        filter="proto tcp and flags S and not flags AFRPU", measure="fps", by="destination",
        window=10, limit=2000, severity="critical", is_on=False,
        text="Connections are begun and not answered.",
    ),
    Rule(
        "amplification",
        filter="proto udp and src port in [53,123,389,1900,11211] and bpp > 400", measure="bps",
        by="destination", window=10, limit=50_000_000, severity="critical", is_on=False,
        text="Large answers that nobody asked for: a reflection attack.",
    ),
    Rule(
        "one source, a gigabit",
        measure="bps", by="source", window=30, limit=1_000_000_000, is_on=False,
    ),
    Rule(
        "sudden new top talker",
        measure="share", by="source", window=300, condition="new", limit=20, is_on=False,
        text="A host that was never among the largest takes a large share.",
    ),
    Rule(
        "unusually much",
        measure="bps", by="exporter", window=300, condition="above_baseline", limit=6, hold=300,
        least=1_000_000, text="More than at this hour of the week in the weeks before.",
        is_on=False,
    ),
    Rule(
        "unusually little",
        measure="bps", by="exporter", window=300, condition="below_baseline", limit=6, hold=600,
        least=1_000_000, text="Less than at this hour of the week in the weeks before.",
        is_on=False,
    ),
    Rule(
        "bad addresses", filter="ip in @bad", measure="fps", by="source", window=60, limit=0.01,
        text="Somebody talks with an address in the list bad of search.lists.", is_on=False,
    ),
    Rule(
        "flows lost", measure="lost", by="exporter", window=300, limit=1, is_on=False,
        text="On the way, or in the receive buffer: see the health of the exporter.",
    ),
    Rule(
        "template missing", measure="waiting", by="exporter", window=60, limit=1, hold=600,
        text="Its data cannot be read yet: shorten its template interval.", is_on=False,
    ),
    Rule(
        "sampling rate changed", measure="sampling_changes", by="exporter", window=600, limit=1,
        severity="info", text="Figures before and after are scaled differently.", is_on=False,
    ),
    Rule(
        "nothing received",
        measure="fps", by="exporter", window=300, condition="below", limit=0.001, hold=0,
        text="An exporter that sent flows sends none any more.", is_on=False,
    ),
)  # fmt: skip
