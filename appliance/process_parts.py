"""What plugins register for one process or one command: loaders, pollers, backups, checks.

It is gathered where it is used, since what it imports would make every other command slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appliance.app import App
from appliance.contracts import FAIL, BackupPart, Finding, LogLoader, Poller
from appliance.errors import ApplianceError, StartupError
from appliance.guard import guard_object
from appliance.guard.guards import Contract
from appliance.guard.methods import BACKUP, LOADER, POLLER, checked_findings
from appliance.registrations import collect, entries_of, refuse_duplicates


def gather_loaders(app: App) -> tuple[LogLoader, ...]:
    """Return what follows the flow log beside the store; slow, for what they import.

    A plugin that fails here is counted and left out: the flow log needs its loader.
    """
    return tuple(_gather_when_used(app, "register_loaders", "loader", LOADER))


def gather_pollers(app: App) -> tuple[Poller, ...]:
    """Return what asks exporters something on a schedule; without those that fail here."""
    return tuple(_gather_when_used(app, "register_pollers", "poller", POLLER))


def _gather_when_used(app: App, hook: str, part: str, contract: Contract) -> list[Any]:
    """Return what plugins register for one process, in guards; without those that fail."""
    values: list[Any] = []
    facts = {
        "settings": app.settings,
        "open_store": app.open_store,
        "open_accounts": app.open_accounts,
    }
    for impl in getattr(app.plugins.hook, hook).get_hookimpls():
        guard = app.guard(impl.plugin_name, part)
        try:
            entries = entries_of(impl, hook, facts)
        except StartupError as error:
            app.failures.add(impl.plugin_name, part, error)
            continue
        values += [guard_object(guard, entry.value, contract) for entry in entries]
    return values


def gather_backups(app: App) -> tuple[BackupPart, ...]:
    """Return what plugins keep that a backup must hold.

    Raises
    ------
    StartupError
        A plugin raised or returned something else, or two parts have one name.
    """
    entries = collect(app.plugins, "register_backups", {"settings": app.settings})
    # Two plugins that keep something in one database return an equal part.
    parts = [e for i, e in enumerate(entries) if all(e.value != x.value for x in entries[:i])]
    refuse_duplicates("part of a backup", parts, lambda part: part.name)
    return tuple(guard_object(app.guard(e.plugin, "backup"), e.value, BACKUP) for e in parts)


def plugin_findings(app: App) -> Iterator[Finding]:
    """Run the checks of all plugins, one after the other.

    A plugin that fails is a finding itself: the others are looked at all the same.
    """
    for impl in app.plugins.hook.register_checks.get_hookimpls():
        try:
            checks = entries_of(impl, "register_checks", {"settings": app.settings})
        except ApplianceError as error:
            yield Finding(FAIL, impl.plugin_name, str(error))
            continue
        for check in checks:
            try:
                yield from app.guard(check.plugin, "check").call(check.value, checked_findings)
            except ApplianceError as error:
                yield Finding(FAIL, check.plugin, str(error))
