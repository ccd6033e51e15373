"""The names of our own tables, in both databases; others are named by configurations.

Each begins with `appliance_`: a database can be another application's too.
"""

from __future__ import annotations

PREFIX = "appliance_"

SCHEMA_VERSION = "appliance_schema_version"

# The flow database.
ROLLUP = "appliance_rollup"
WORK = "appliance_work"
ROLLUP_PROGRESS = "appliance_rollup_progress"
APPLICATION = "appliance_application"
SESSION_APPLICATION = "appliance_session_application"
ROLLUP_COLUMN = "appliance_rollup_column"
KNOWN_EXPORTER = "appliance_known_exporter"
EVENT = "appliance_event"

# The appliance database.
EXPORTER = "appliance_exporter"
FORGOTTEN_EXPORTER = "appliance_forgotten_exporter"
ACCOUNT = "appliance_account"
ROLE = "appliance_role"
ACCOUNT_ROLE = "appliance_account_role"
API_TOKEN = "appliance_api_token"  # noqa: S105 - the name of a table
SIGN_IN_ATTEMPTS = "appliance_sign_in_attempts"
SIGN_IN_CLIENT = "appliance_sign_in_client"
AUDIT = "appliance_audit"
TOTP = "appliance_totp"
SESSION = "appliance_session"
IDENTITY = "appliance_identity"
PASSWORD_DUE = "appliance_password_due"  # noqa: S105 - the name of a table
RECOVERY_CODE = "appliance_recovery_code"
ACCOUNT_FILTER = "appliance_account_filter"

# A database with tables that others name: how far each is, and rows on their way into one.
TABLE_PROGRESS = "appliance_progress"
PURGED_ROWS = "appliance_purge"

MIGRATION_TABLES = (
    *(SCHEMA_VERSION, ROLLUP, WORK, ROLLUP_PROGRESS, APPLICATION, KNOWN_EXPORTER, EVENT),
    *(SESSION_APPLICATION, ROLLUP_COLUMN),
    *(EXPORTER, FORGOTTEN_EXPORTER, ACCOUNT, ROLE, ACCOUNT_ROLE, API_TOKEN),
    *(SIGN_IN_ATTEMPTS, SIGN_IN_CLIENT, AUDIT, TOTP, RECOVERY_CODE, SESSION, IDENTITY),
    *(PASSWORD_DUE, ACCOUNT_FILTER),
)
"""The tables that the migrations make."""
