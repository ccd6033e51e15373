"""The first administrator: made when nobody is one, by whichever process comes first."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.accounts.passwords import hash_password
from appliance.accounts.rules import generated_password, password_problems
from appliance.contracts import ADMINISTRATOR, AccountStore, AuditEntry, UserChange
from appliance.errors import SettingsError, StartupError
from appliance.settings.file import Settings

USERNAME = "destneAdmin"
PASSWORD_VARIABLE = "APPLIANCE_ADMIN_PASSWORD"  # noqa: S105 - a variable's name
FILE_SETTING = "accounts.admin_password_file"
COST_SETTING = "accounts.password_cost"
THE_START = "the first start"


def make_first_administrator(accounts: AccountStore, settings: Settings, now: float) -> list[str]:
    """Make the administrator when there is none.

    Returns
    -------
    list of str
        Lines to print, once: the password where it was invented here. Empty when somebody is
        administrator already.

    Raises
    ------
    StartupError, SettingsError
        The password that was given does not fit the rules, or its file cannot be read.
    StorageError
        The database is away.
    """
    if any(ADMINISTRATOR in user.roles for user in accounts.users()):
        return []
    given = given_password(settings)
    password = given or generated_password()
    values = {
        "username": USERNAME,
        "password_hash": hash_password(password, settings[COST_SETTING]),
    }
    # Whoever reads the terminal or the journal later must not have the password.
    change = UserChange(values, (ADMINISTRATOR,), must_change_password=not given)
    if accounts.create_first(change, now) is None:
        return []
    entry = AuditEntry(now, THE_START, "", "make the first administrator", USERNAME, 201)
    accounts.record(entry)
    if given:
        return [f"administrator {USERNAME} made, with the password that was given"]
    return [f"administrator {USERNAME}, password {password}  (printed this once, change it)"]


def given_password(settings: Settings) -> str | None:
    """Return the password for provisioning: the environment's, else the file's, else None.

    Raises
    ------
    StartupError, SettingsError
        It does not fit the rules, or the file cannot be read.
    """
    path: Path | None = settings[FILE_SETTING]
    password, origin = os.environ.get(PASSWORD_VARIABLE), PASSWORD_VARIABLE
    if not password:
        if path is None:
            return None
        password, origin = _first_line(path), str(path)
    if problems := password_problems(password):
        raise StartupError(f"{origin}: {'; '.join(problems)}")
    return password


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {str(getattr(error, 'strerror', None) or error).lower()}"
        raise SettingsError(problem, file=path, key=FILE_SETTING) from None
    return lines[0] if lines else ""
