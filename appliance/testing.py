"""What the tests of a plugin build on: an appliance in a folder, with one plugin beside ours.

Nothing is started and no socket opened; datagrams, flow log, stores and commands are the real ones.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.app import build_app
from appliance.cli.options import Invocation
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.contracts import FlowStore
from appliance.decoding.messages.block import Datagram, block_of
from appliance.flowlog import (
    FLOW_LOG_FOLDER,
    FlowLogLimits,
    FlowLogWriter,
    FlowQuestion,
    FlowSearch,
)
from appliance.flows import address_halves
from appliance.plugin_manager import build_plugin_manager
from appliance.process_parts import gather_loaders
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.settings.file import SettingsFile

EXPORTER = "192.0.2.1"


class PluginHarness:
    """An appliance with one plugin, and every setting that is not given at its default.

    Parameters
    ----------
    folder
        Its data directory.
    plugin
        The module, or object, with the hooks.
    settings
        As in `appliance.yml`: nested mappings.
    """

    def __init__(
        self, folder: Path, plugin: object, settings: Mapping[str, object] | None = None
    ) -> None:
        manager = build_plugin_manager(entry_points=())
        manager.register(plugin)
        tree = {"data_directory": str(folder), **(settings or {})}
        self._folder = folder / FLOW_LOG_FOLDER
        self.app = build_app(manager, SettingsFile(None, folder, tree))
        self.app.gather_all()

    def receive(self, *payloads: bytes) -> None:
        """Decode datagrams of one exporter, enrich their records, and write the flow log."""
        now_ms = time.time_ns() // 1_000_000
        sender = (*address_halves(EXPORTER), 2000, now_ms)
        writer = FlowLogWriter(self._folder, FlowLogLimits(minimum_free_octets=0))
        writer.start()
        states = ExporterStates(ExporterLimits())
        pipeline = Pipeline(
            self.app.decoders, states, writer, (*self.app.enrichers, *self.app.redactors)
        )
        pipeline.take(block_of([Datagram(each, *sender) for each in payloads]), now_ms)
        writer.flush({}, now_ms)
        writer.close(now_ms)
        self.check()

    def flows(self, *columns: str) -> list[tuple[object, ...]]:
        """Return these columns of all flows, sorted; None where a flow has no value."""
        question = FlowQuestion(columns=columns, order="time")
        rows = FlowSearch(self._folder).flows(question).to_pylist()
        return sorted((tuple(row[name] for name in columns) for row in rows), key=repr)

    def top(self, dimension: str, *conditions: str) -> dict[object, int]:
        """Return the octets of each value of a dimension, of the flows that satisfy conditions."""
        question = Question((dimension,), conditions=parse_conditions(conditions))
        rows = QueryEngine(FlowSearch(self._folder)).top(question).rows.to_pylist()
        return {next(iter(row.values())): int(row["octets"]) for row in rows}

    def load(self) -> None:
        """Let the plugin's loaders, and those of ours, read what is new in the flow log."""
        for loader in gather_loaders(self.app):
            loader.load_once(time.time())
        self.check()

    def filled_store(self) -> FlowStore:
        """Return the store that `flows.database` names, filled from the flow log."""
        store = self.app.open_store()
        store.load_once(time.time())
        self.check()
        return store

    def run(self, *words: str) -> str:
        """Run a command of a plugin, and return what it prints."""
        from click.testing import CliRunner

        commands = {entry.value.name: entry.value for entry in self.app.commands}
        invocation = Invocation()
        invocation.app = self.app
        command, *arguments = words
        outcome = CliRunner().invoke(
            commands[command], arguments, obj=invocation, catch_exceptions=False
        )
        return outcome.output

    def check(self) -> None:
        """Raise AssertionError where a plugin failed in a guard."""
        if self.app.failures.total:
            raise AssertionError(f"plugins failed: {self.app.failures.total}")


def ipfix_message(fields: Sequence[tuple[int, int]], records: bytes) -> bytes:
    """Return an IPFIX message with a template and its Data Records (RFC 7011 section 3).

    Parameters
    ----------
    fields
        Information elements (IANA) of the template, each with its octets.
    """
    specifiers = b"".join(struct.pack(">HH", *field) for field in fields)
    template = struct.pack(">HHHH", 2, 8 + len(specifiers), 256, len(fields)) + specifiers
    data = struct.pack(">HH", 256, 4 + len(records)) + records
    length = 16 + len(template) + len(data)
    header = struct.pack(">HHIII", 10, length, int(time.time()), 0, 1)
    return header + template + data
