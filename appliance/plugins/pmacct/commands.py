"""`appliance make-tables`: what nfacctd fills and does not make.

The built-in engine makes a table when it first writes to it; nfacctd expects it to be there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from appliance.cli.options import pass_settings
from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.active_config import config_from_file
from appliance.settings.file import Settings

if TYPE_CHECKING:
    from appliance.plugins.pmacct.tables.plan import TablePlan
    from appliance.sql.addresses import DatabaseAddress


@click.command("make-tables")
@pass_settings
def make_tables(settings: Settings) -> None:
    """Make the tables that the collector configuration names.

    For the engine nfacctd, which expects them. A table that is there stays as it is; one with
    variables in its name is nfacctd's own business (sql_table_schema).
    """
    from appliance.plugins.pmacct.tables.plan import table_plans
    from appliance.plugins.pmacct.tables.sql_tables import is_dynamic

    config = config_from_file(settings)
    if config is None:
        raise SettingsError("there is no collector configuration", key="collector.config")
    plans, _ = table_plans(config)
    for plan in plans:
        if plan.database is not None and not is_dynamic(plan.table):
            made = "made" if make_table(plan, plan.database) else "is there"
            click.echo(f"table {plan.table} of {plan.plugin}: {made}")


def make_table(plan: TablePlan, database: DatabaseAddress) -> bool:
    """Make one table; return False when it was there.

    Raises
    ------
    StorageError
        The database is away, or refuses it.
    """
    from appliance.plugins.pmacct.tables.destination import Destination
    from appliance.plugins.pmacct.tables.sql_tables import Target, create_statements

    destination = Destination(database)
    target = Target(plan.table, int(time.time()), {})
    try:
        with destination.transaction(write=True):
            if destination.has_table(plan.table):
                return False
            for statement in create_statements(plan, target, destination.is_mysql):
                # pymysql takes % for a parameter only when there are any.
                destination.connection.connection().cursor().execute(statement)
    finally:
        destination.close()
    return True
