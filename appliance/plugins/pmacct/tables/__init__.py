"""The tables of `mysql` and `sqlite3`: their rows, made of the flow log, and how they are kept."""
