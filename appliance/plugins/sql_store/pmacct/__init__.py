"""The tables of pmacct: what the plugins `mysql` and `sqlite3` of a configuration ask for.

`plan` says what a table holds, `values` and `aggregation` make its rows of the flow log, `tables`
and `destination` write them, and `loader` follows the log.
"""
