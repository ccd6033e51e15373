"""The types that plugins and the core exchange: what hooks return and what the core calls.

Everything here is passive. Who calls what, when and in which thread is told in
`appliance.hookspecs`; settings have their own module, `appliance.settings`.
"""

from appliance.contracts.accounts import (
    ADMINISTRATORS,
    STRANGERS,
    USERS,
    AccountError,
    AccountStore,
    ApiToken,
    AuditEntry,
    Problem,
    User,
    UserChange,
    Why,
)
from appliance.contracts.backups import (
    BackupPart,
)
from appliance.contracts.checks import (
    FAIL,
    HINT,
    OK,
    Check,
    Finding,
)
from appliance.contracts.counter_sinks import CounterSink, ExportedCounters
from appliance.contracts.datagram_taps import DatagramTap
from appliance.contracts.decoders import (
    Decoder,
    StreamFraming,
)
from appliance.contracts.engines import (
    Daemon,
    Engine,
)
from appliance.contracts.enrichers import (
    Enricher,
)
from appliance.contracts.feeds import (
    COUNTERS,
    FeedBin,
    FeedOrder,
    FlowFeed,
)
from appliance.contracts.metrics import (
    MetricsCollector,
)
from appliance.contracts.overrides import (
    Overrides,
    OverridingFile,
)
from appliance.contracts.pages import Page
from appliance.contracts.pollers import Poller, PollReport
from appliance.contracts.queries import (
    MEASURES,
    ColumnSums,
    Dimension,
    Direction,
    ExporterRecord,
    FlowQueries,
    InterfaceMeasure,
    KeyedMeasure,
    Measure,
    MeasureName,
    MissingExporters,
    Selection,
    SumsByColumns,
    SumsByInterface,
    TopAnswer,
)
from appliance.contracts.query_sources import (
    ApplicationNames,
    EstimatingSource,
    QuerySource,
    QuerySourceFactory,
    SourceColumn,
    SourceGroups,
    SourceRows,
    SourceSample,
    SourceSums,
    SumKey,
    SumsQuestion,
)
from appliance.contracts.redactors import Redactor
from appliance.contracts.registered import (
    THE_CORE,
    Registered,
)
from appliance.contracts.routes import (
    ADMINISTRATOR,
    PUBLIC,
    SIGNED_IN,
    USER,
    Answer,
    Principal,
    Route,
)
from appliance.contracts.sign_in_ways import SignInWay
from appliance.contracts.sign_ins import Session, Totp
from appliance.contracts.stores import (
    FlowStore,
    LoadReport,
    LogLoader,
    StoreFactory,
)
from appliance.contracts.template_files import (
    SavedApplication,
    SavedSampling,
    SavedTemplate,
    TemplateFile,
)
from appliance.contracts.value_names import ValueNames

__all__ = [
    "ADMINISTRATOR",
    "ADMINISTRATORS",
    "COUNTERS",
    "FAIL",
    "HINT",
    "MEASURES",
    "OK",
    "PUBLIC",
    "SIGNED_IN",
    "STRANGERS",
    "THE_CORE",
    "USER",
    "USERS",
    "AccountError",
    "AccountStore",
    "Answer",
    "ApiToken",
    "ApplicationNames",
    "AuditEntry",
    "BackupPart",
    "Check",
    "ColumnSums",
    "CounterSink",
    "Daemon",
    "DatagramTap",
    "Decoder",
    "Dimension",
    "Direction",
    "Engine",
    "Enricher",
    "EstimatingSource",
    "ExportedCounters",
    "ExporterRecord",
    "FeedBin",
    "FeedOrder",
    "Finding",
    "FlowFeed",
    "FlowQueries",
    "FlowStore",
    "InterfaceMeasure",
    "KeyedMeasure",
    "LoadReport",
    "LogLoader",
    "Measure",
    "MeasureName",
    "MetricsCollector",
    "MissingExporters",
    "Overrides",
    "OverridingFile",
    "Page",
    "PollReport",
    "Poller",
    "Principal",
    "Problem",
    "QuerySource",
    "QuerySourceFactory",
    "Redactor",
    "Registered",
    "Route",
    "SavedApplication",
    "SavedSampling",
    "SavedTemplate",
    "Selection",
    "Session",
    "SignInWay",
    "SourceColumn",
    "SourceGroups",
    "SourceRows",
    "SourceSample",
    "SourceSums",
    "StoreFactory",
    "StreamFraming",
    "SumKey",
    "SumsByColumns",
    "SumsByInterface",
    "SumsQuestion",
    "TemplateFile",
    "TopAnswer",
    "Totp",
    "User",
    "UserChange",
    "ValueNames",
    "Why",
]
