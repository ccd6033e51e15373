"""`appliance rebuild`, the plugin's registration, and parts that need no database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from appliance.cli.main import group
from appliance.contracts import Selection
from appliance.database_urls import DatabaseUrl
from appliance.errors import SettingsError, StorageError
from appliance.plugin_manager import build_plugin_manager
from appliance.services import port_name, read_services, service_ports
from appliance.settings.file import SettingsFile
from appliance.sql.addresses import database_address
from appliance.sql.database import SqlDatabase
from appliance.stores import store_factory

START = 1_801_429_200


def test_rebuild_when_called_then_the_log_is_stored_again(sqlite_world: Any, conf: Any):
    world = sqlite_world
    world.write(world.flows(50))
    world.load()
    with world.store.flows.transaction(write=True):
        world.store.flows.execute("DELETE FROM appliance_rollup")
    folder = conf(f"data_directory: {world.folder}\n")
    arguments = ["-confPath", f"{folder}/", "rebuild"]
    refused = CliRunner().invoke(group, arguments, input="n\n")
    assert refused.exit_code != 0
    done = CliRunner().invoke(group, [*arguments, "--yes"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "filled again from the flow log" in done.output
    assert "rows in" in done.output
    assert world.store.totals(Selection()).flows == 50


def test_store_factory_when_a_scheme_is_unknown_then_says_which_are_known(sqlite_world: Any):
    opened = store_factory({"sqlite": lambda url, _: url}, sqlite_world.settings)  # type: ignore[dict-item,return-value]
    assert opened is not None
    assert opened() == "sqlite:flows.sqlite"
    others = {"mysql": lambda url, _: url}
    assert store_factory(others, sqlite_world.settings) is None  # type: ignore[arg-type]
    tree = {"flows": {"database": "sqlite:other.sqlite"}}
    configured = SettingsFile(None, sqlite_world.folder, tree).settings()
    with pytest.raises(SettingsError, match="expected mysql:"):
        store_factory(others, configured)  # type: ignore[arg-type]


def test_register_stores_when_loaded_then_both_schemes_open_nothing_yet(sqlite_world: Any):
    manager = build_plugin_manager(entry_points=())
    factories = {
        scheme: factory
        for found in manager.hook.register_stores(settings=sqlite_world.settings)
        for scheme, factory in found.items()
    }
    assert set(factories) == {"sqlite", "mysql"}
    store = factories["sqlite"]("sqlite:other.sqlite", sqlite_world.settings)
    assert not (sqlite_world.folder / "other.sqlite").exists()
    store.close()


@pytest.mark.parametrize(
    "text", ["flows.sqlite", "sqlite:", "mysql://host", "mysql:///name", "mysql://h:0/n"]
)
def test_url_when_not_understood_then_refused(text: str):
    with pytest.raises(ValueError, match=text):
        DatabaseUrl().parse(text, Path())


def test_url_when_mysql_then_its_parts_are_unquoted(tmp_path: Path):
    database = SqlDatabase(
        database_address("mysql://us%40er:p%2Fw@db.example:3307/n", tmp_path), lambda _: None
    )
    assert database.connection.connect_params["user"] == "us@er"
    assert database.connection.connect_params["password"] == "p/w"
    assert database.connection.connect_params["port"] == 3307
    with pytest.raises(SettingsError):
        SqlDatabase(database_address("oracle:x", tmp_path), lambda _: None)


def test_sqlite_when_the_folder_cannot_be_made_then_storage_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    database = SqlDatabase(database_address("sqlite:file/below/x.sqlite", tmp_path), lambda _: None)
    with pytest.raises(StorageError), database.transaction():
        pass


def test_service_port_when_ports_have_names_then_the_lower_named_else_the_lower():
    services = read_services()
    protocols = np.array([6, 6, 6, 17, 1, 6], np.uint8)
    sources = np.array([443, 50_000, 60_001, 53, 0, 443], np.uint16)
    destinations = np.array([50_000, 22, 60_000, 123, 2048, 80], np.uint16)
    found = service_ports(services, protocols, sources, destinations)
    assert found.tolist() == [443, 22, 60_000, 53, 0, 80]
    assert port_name(6, 443) == "tcp/443"
    assert port_name(253, 7) == "253/7"
    assert len(services.names) > 250


def test_rebuild_when_of_samples_then_drawn_from_the_log_or_says_that_none_are_kept(
    sqlite_world: Any, conf: Any
):
    world = sqlite_world
    world.write(world.flows(50))
    folder = conf(f"data_directory: {world.folder}\n")
    arguments = ["-confPath", f"{folder}/", "rebuild", "--samples", "--yes"]
    done = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "1 samples in" in done.output
    (sample,) = (world.folder / "samples").glob("hour.*.parquet")
    assert pq.read_metadata(sample).num_rows == 50
    folder = conf(f"data_directory: {world.folder}\nsamples.hour_rows: 0\n")
    refused = CliRunner().invoke(group, arguments)
    assert refused.exit_code == 2
    assert "samples.hour_rows is 0" in refused.output
