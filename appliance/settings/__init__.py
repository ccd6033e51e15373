"""Settings: their types, the core's table, the file that sets them, and files that override it."""
