"""The tables of the appliance database, as migrations (see `migrations`).

appliance_exporter
    Identifier, address, name, info, and when they were made and changed.
appliance_forgotten_exporter
    Exporters that were forgotten while something may be stored of them (`pending`), and the one
    with the highest identifier, as none is used again.
appliance_account, _role, _account_role, _api_token, _sign_in_attempts, _sign_in_client, _audit
    Users and what belongs to them. An identifier of a user is never used again, so nothing of a
    deleted one can come back with a new one.
appliance_totp, appliance_recovery_code
    Second factors: the secret, whether it is on, the newest time step whose code was used; and
    digests of the codes that are good once each.
appliance_session
    Sign-ins of users whose newest token may still be good.
appliance_password_due
    Users who must change their password before anything else.
appliance_account_filter
    What users see at most, a filter each; who has none sees everything.
appliance_identity
    Which user somebody is whom another provider signs in, by a digest.
"""

from __future__ import annotations

from appliance.sql.migrations import Migration
from appliance.sql.table_names import (
    ACCOUNT,
    ACCOUNT_FILTER,
    ACCOUNT_ROLE,
    API_TOKEN,
    AUDIT,
    EXPORTER,
    FORGOTTEN_EXPORTER,
    IDENTITY,
    PASSWORD_DUE,
    RECOVERY_CODE,
    ROLE,
    SESSION,
    SIGN_IN_ATTEMPTS,
    SIGN_IN_CLIENT,
    TOTP,
)

APPLIANCE_MIGRATIONS: tuple[Migration, ...] = (
    (
        f"""CREATE TABLE IF NOT EXISTS {EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, address VARCHAR(45) NOT NULL UNIQUE,
            name VARCHAR(255) NOT NULL, created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
    ),
    (f"ALTER TABLE {EXPORTER} ADD COLUMN info VARCHAR(1000) NOT NULL DEFAULT ''",),
    (
        f"""CREATE TABLE IF NOT EXISTS {ACCOUNT} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, username VARCHAR(100) NOT NULL UNIQUE,
            password_hash VARCHAR(100) NOT NULL, stamp VARCHAR(32) NOT NULL,
            firstname VARCHAR(45), lastname VARCHAR(45), email VARCHAR(100),
            created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
        f"CREATE TABLE IF NOT EXISTS {ROLE} (name VARCHAR(45) NOT NULL PRIMARY KEY)",
        f"REPLACE INTO {ROLE} (name) VALUES ('Administrator'), ('User')",
        f"""CREATE TABLE IF NOT EXISTS {ACCOUNT_ROLE} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL,
            role VARCHAR(45) NOT NULL, UNIQUE (account, role)
        )""",
        f"""CREATE TABLE IF NOT EXISTS {API_TOKEN} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL UNIQUE,
            role VARCHAR(45) NOT NULL, digest VARCHAR(64) NOT NULL UNIQUE,
            created DOUBLE NOT NULL, expires DOUBLE, owner INTEGER
        )""",
        f"""CREATE TABLE IF NOT EXISTS {SIGN_IN_ATTEMPTS} (
            name VARCHAR(80) NOT NULL PRIMARY KEY, failures INTEGER NOT NULL,
            latest DOUBLE NOT NULL, blocked_until DOUBLE NOT NULL
        )""",
        f"""CREATE TABLE IF NOT EXISTS {AUDIT} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, happened DOUBLE NOT NULL,
            who VARCHAR(100) NOT NULL, address VARCHAR(45) NOT NULL, action VARCHAR(200) NOT NULL,
            detail VARCHAR(500) NOT NULL, status INTEGER
        )""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {SIGN_IN_CLIENT} (
            account INTEGER NOT NULL, client VARCHAR(45) NOT NULL, latest DOUBLE NOT NULL,
            PRIMARY KEY (account, client)
        ) WITHOUT ROWID""",
    ),
    (
        f"ALTER TABLE {AUDIT} ADD COLUMN room VARCHAR(14) NOT NULL DEFAULT 'administrators'",
        f"UPDATE {AUDIT} SET room = 'strangers' WHERE status BETWEEN 400 AND 499",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {FORGOTTEN_EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL,
            forgotten DOUBLE NOT NULL, pending TINYINT NOT NULL
        )""",
    ),
    (),  # The tables have their prefix: see `prefixing`.
    (
        f"""CREATE TABLE IF NOT EXISTS {TOTP} (
            account INTEGER NOT NULL PRIMARY KEY, secret VARCHAR(64) NOT NULL,
            is_on TINYINT NOT NULL, used_step BIGINT NOT NULL
        )""",
        f"""CREATE TABLE IF NOT EXISTS {RECOVERY_CODE} (
            digest VARCHAR(64) NOT NULL PRIMARY KEY, account INTEGER NOT NULL
        )""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {SESSION} (
            id VARCHAR(32) NOT NULL PRIMARY KEY, account INTEGER NOT NULL,
            created DOUBLE NOT NULL, used DOUBLE NOT NULL, expires DOUBLE NOT NULL,
            address VARCHAR(45) NOT NULL, user_agent VARCHAR(200) NOT NULL
        )""",
    ),
    # A table and no column: MySQL users who may make tables may not all alter them.
    (f"CREATE TABLE IF NOT EXISTS {PASSWORD_DUE} (account INTEGER NOT NULL PRIMARY KEY)",),
    (
        f"""CREATE TABLE IF NOT EXISTS {IDENTITY} (
            digest VARCHAR(64) NOT NULL PRIMARY KEY, account INTEGER NOT NULL
        )""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {ACCOUNT_FILTER} (
            account INTEGER NOT NULL PRIMARY KEY, bound_to VARCHAR(4096) NOT NULL
        )""",
    ),
)
