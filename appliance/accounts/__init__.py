"""The accounts that a plugin keeps (`appliance.contracts.accounts`)."""

from __future__ import annotations

ACCOUNTS_SETTING = "database"
