"""The web console: pages in the browser, which ask the REST API like every other program.

`assets` is what the browser loads, `static/` its source: ES modules as they are, without a build.
"""

from __future__ import annotations

from appliance import BackupPart, Route, Settings, hookimpl


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Return the saved views."""
    from appliance.plugins.console.views import ViewsBackup, views_folder

    return [ViewsBackup(views_folder(settings))]


@hookimpl
def register_routes() -> list[Route]:
    """Return the console's own routes: its document, its files and its start."""
    from appliance.plugins.console.routes import console_routes

    return console_routes()
