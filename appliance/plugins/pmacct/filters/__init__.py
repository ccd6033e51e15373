"""Which rows a table takes: `aggregate_filter` in libpcap's language, and tags."""
