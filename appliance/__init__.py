"""NetFlow appliance: receives NetFlow, IPFIX and sFlow, stores flows, answers questions.

`__all__` is what plugins import; nothing else of the package is public. A name is loaded when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.cli.options import pass_settings
    from appliance.collector.decode_options import decode_options
    from appliance.contracts import (
        ADMINISTRATOR,
        FAIL,
        HINT,
        OK,
        PUBLIC,
        SIGNED_IN,
        USER,
        AccountStore,
        Answer,
        BackupPart,
        Check,
        CounterSink,
        Daemon,
        DatagramTap,
        Decoder,
        Dimension,
        Engine,
        Enricher,
        ExportedCounters,
        ExporterRecord,
        FeedBin,
        FeedOrder,
        Finding,
        FlowFeed,
        FlowQueries,
        FlowStore,
        KeyedMeasure,
        LoadReport,
        LogLoader,
        Measure,
        MeasureName,
        MetricsCollector,
        Overrides,
        OverridingFile,
        Page,
        Poller,
        PollReport,
        Principal,
        QuerySource,
        QuerySourceFactory,
        Redactor,
        Route,
        SavedTemplate,
        Selection,
        SignInWay,
        SourceColumn,
        SourceGroups,
        SourceRows,
        SourceSample,
        SourceSums,
        StoreFactory,
        StreamFraming,
        SumsQuestion,
        TemplateFile,
        TopAnswer,
        ValueNames,
    )
    from appliance.decoding.fixed_protocol import (
        FixedDecoder,
        FixedProtocol,
        decode_fixed,
        headers_with_count,
        plain_headers,
    )
    from appliance.decoding.interface_counters import InterfaceCounters
    from appliance.decoding.messages.block import DatagramBlock
    from appliance.decoding.messages.faults import Fault, MalformedMessage
    from appliance.decoding.messages.headers import Headers
    from appliance.decoding.results import DecodeOptions, DecodeResult, DecoderState
    from appliance.errors import (
        ApplianceError,
        RequestError,
        SettingsError,
        StartupError,
        StorageError,
    )
    from appliance.flowlog import Cursor, FlowLogReader, batch_from_rows
    from appliance.flows import Column, FlowBatch, RecordKind, address_text
    from appliance.hookspecs import hookimpl
    from appliance.settings.file import EffectiveSetting, Setting, Settings
    from appliance.settings.types import (
        Boolean,
        Duration,
        FilePath,
        Integer,
        NetworkList,
        Number,
        SettingType,
        Size,
        Text,
    )
    from appliance.testing import PluginHarness, ipfix_message

__version__ = "0.1.0"

_MODULES = {
    "contracts": (
        *("ADMINISTRATOR", "PUBLIC", "SIGNED_IN", "USER", "AccountStore", "Answer", "BackupPart"),
        *("Decoder", "Enricher", "FeedBin", "FeedOrder", "FlowFeed", "FlowQueries", "FlowStore"),
        *("LoadReport", "LogLoader", "Measure", "MetricsCollector", "Principal", "Route"),
        *("Selection", "StoreFactory", "TopAnswer", "Dimension", "ExporterRecord", "KeyedMeasure"),
        *("MeasureName", "FAIL", "HINT", "OK", "Check", "Finding", "Daemon", "Engine"),
        *("CounterSink", "DatagramTap", "ExportedCounters", "Redactor"),
        *("Overrides", "OverridingFile", "Page", "SavedTemplate", "TemplateFile"),
        *("Poller", "PollReport", "SignInWay", "ValueNames", "QuerySource", "QuerySourceFactory"),
        *(
            "SourceColumn",
            "SourceGroups",
            "SourceRows",
            "SourceSample",
            "SourceSums",
            "SumsQuestion",
        ),
        "StreamFraming",
    ),
    "cli.options": ("pass_settings",),
    "collector.decode_options": ("decode_options",),
    "decoding.fixed_protocol": (
        *("FixedDecoder", "FixedProtocol", "decode_fixed", "headers_with_count", "plain_headers"),
    ),
    "decoding.interface_counters": ("InterfaceCounters",),
    "decoding.messages.block": ("DatagramBlock",),
    "decoding.messages.faults": ("Fault", "MalformedMessage"),
    "decoding.messages.headers": ("Headers",),
    "decoding.results": ("DecodeOptions", "DecodeResult", "DecoderState"),
    "errors": (
        *("ApplianceError", "RequestError", "SettingsError", "StartupError", "StorageError"),
    ),
    "flowlog": ("Cursor", "FlowLogReader", "batch_from_rows"),
    "flows": ("Column", "FlowBatch", "RecordKind", "address_text"),
    "hookspecs": ("hookimpl",),
    "settings.file": ("EffectiveSetting", "Setting", "Settings"),
    "settings.types": (
        *("Boolean", "Duration", "FilePath", "Integer", "NetworkList", "Number", "SettingType"),
        *("Size", "Text"),
    ),
    "testing": ("PluginHarness", "ipfix_message"),
}
_MODULE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ADMINISTRATOR",
    "FAIL",
    "HINT",
    "OK",
    "PUBLIC",
    "SIGNED_IN",
    "USER",
    "AccountStore",
    "Answer",
    "ApplianceError",
    "BackupPart",
    "Boolean",
    "Check",
    "Column",
    "CounterSink",
    "Cursor",
    "Daemon",
    "DatagramBlock",
    "DatagramTap",
    "DecodeOptions",
    "DecodeResult",
    "Decoder",
    "DecoderState",
    "Dimension",
    "Duration",
    "EffectiveSetting",
    "Engine",
    "Enricher",
    "ExportedCounters",
    "ExporterRecord",
    "Fault",
    "FeedBin",
    "FeedOrder",
    "FilePath",
    "Finding",
    "FixedDecoder",
    "FixedProtocol",
    "FlowBatch",
    "FlowFeed",
    "FlowLogReader",
    "FlowQueries",
    "FlowStore",
    "Headers",
    "Integer",
    "InterfaceCounters",
    "KeyedMeasure",
    "LoadReport",
    "LogLoader",
    "MalformedMessage",
    "Measure",
    "MeasureName",
    "MetricsCollector",
    "NetworkList",
    "Number",
    "Overrides",
    "OverridingFile",
    "Page",
    "PluginHarness",
    "PollReport",
    "Poller",
    "Principal",
    "QuerySource",
    "QuerySourceFactory",
    "RecordKind",
    "Redactor",
    "RequestError",
    "Route",
    "SavedTemplate",
    "Selection",
    "Setting",
    "SettingType",
    "Settings",
    "SettingsError",
    "SignInWay",
    "Size",
    "SourceColumn",
    "SourceGroups",
    "SourceRows",
    "SourceSample",
    "SourceSums",
    "StartupError",
    "StorageError",
    "StoreFactory",
    "StreamFraming",
    "SumsQuestion",
    "TemplateFile",
    "Text",
    "TopAnswer",
    "ValueNames",
    "address_text",
    "batch_from_rows",
    "decode_fixed",
    "decode_options",
    "headers_with_count",
    "hookimpl",
    "ipfix_message",
    "pass_settings",
    "plain_headers",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
