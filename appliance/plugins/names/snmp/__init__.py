"""Names, speeds and counters of interfaces, asked of exporters by SNMP, and what they prove."""
