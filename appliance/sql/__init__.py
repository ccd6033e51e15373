"""What every plugin with tables in SQLite or MySQL shares; it knows no plugin.

`addresses` reads database URLs, `database` connects and `migrations` makes and upgrades tables,
`table_names` has the names of all of ours, `appliance_database` opens the one that plugins share,
`copies` saves a database for a backup.
"""

from __future__ import annotations

SQLITE, MYSQL = "sqlite", "mysql"
SCHEMES = (SQLITE, MYSQL)


def is_sql_url(url: str) -> bool:
    """Tell whether a database URL is of SQLite or MySQL."""
    return url.partition(":")[0] in SCHEMES
