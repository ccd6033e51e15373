"""What callers may say to the routes of explore, in a query string or as JSON; read into values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from appliance import Principal, RequestError, Settings
from appliance.contracts import ExporterRecord, FlowStore
from appliance.flowlog.forms import CONTENT_TYPES
from appliance.query.deduplication import RULES
from appliance.query.question import DISTINCT, MAX_BINS, MAX_DIMENSIONS, MEANS, SUMS
from appliance.query.steps import fitting_step_ms
from appliance.web.bodies import FORM, JSON, Body
from appliance.web.caller_filter import bound_engine, caller_names
from appliance.web.openapi import operation
from appliance.web.parameters import Query
from appliance.web.times import parse_interval

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.query.engine import QueryEngine

TAG = "Explore"
DEFAULT_SPAN_SECONDS = 3600
MOST_ROWS = 10_000
"""As many as all interfaces of a large network, in one answer."""


PARAMETERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "by": (
        {"type": "string", "examples": ["source,destination_port"]},
        f"Up to {MAX_DIMENSIONS} dimensions between commas: names of `fields`, of addresses also"
        " prefixes such as `source/24`. Without any, everything together.",
    ),
    "filter": ({"type": "string"}, "Only flows that satisfy this, in the language of filters."),
    "from": (
        {"type": "string"},
        "Start of the range: ISO 8601 or seconds since 1970. Default: an hour before its end.",
    ),
    "to": ({"type": "string"}, "End of the range, not included. Default: now."),
    "last": ({"type": "string", "examples": ["24h"]}, "Length of the range up to its end."),
    "order": (
        {"type": "string", "enum": [*SUMS, *MEANS, *DISTINCT]},
        "The largest by this come first; of a series one of the sums. Default: octets.",
    ),
    "limit": ({"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, "Most groups or flows."),
    "other": ({"type": "boolean"}, "true: what the groups leave of the total, too."),
    "raw": ({"type": "boolean"}, "true: not scaled by the sampling rate."),
    "dedupe": (
        {"type": "string", "enum": list(RULES)},
        "The same flow counts once: "
        + "; ".join(f"`{name}`, {text}" for name, text in RULES.items())
        + ". `nearest` reads every flow, as `exact` does. Default: it counts as often as it is"
        " seen.",
    ),
    "exact": (
        {"type": "boolean"},
        "true: read every flow. Of more than `search.exact_rows` that is a job: status 202.",
    ),
    "measures": (
        {"type": "string", "examples": ["sources,mean_packet_size"]},
        f"Beside the sums, between commas: {', '.join((*MEANS, *DISTINCT))}; numbers of different"
        " values are approximate.",
    ),
    "after": ({"type": "string"}, "`next` of the page before."),
    "format": (
        {"type": "string", "enum": list(CONTENT_TYPES)},
        "Form of an export; json has an object on each line. Default: csv.",
    ),
    "columns": (
        {"type": "string", "examples": ["source,destination,octets"]},
        "Columns of an export, between commas, or `all`. Default: what single flows usually show.",
    ),
    "text": ({"type": "string"}, "A filter as far as it is written."),
    "cursor": ({"type": "integer", "minimum": 0}, "Place in it. Default: its end."),
    "step": (
        {"type": "string", "examples": ["5m"]},
        f"Length of a bin, such as 5m; at most {MAX_BINS} bins. Default: what fits the range.",
    ),
}
"""Schema and description of each."""

RANGE = ("from", "to", "last")
LISTS = ("by", "measures", "columns")
"""Of names between commas; in JSON an array of names, too."""

OpenStore = Callable[[], FlowStore]
Handler = Callable[[Settings, Query, Principal | None, tzinfo, OpenStore], object]


def from_query(handler: Handler, names: Sequence[str]) -> Callable[..., object]:
    """Return the handler of a GET that refuses parameters which it does not have."""

    def asked(
        settings: Settings,
        query: Query,
        principal: Principal | None,
        zone: tzinfo,
        open_store: OpenStore,
    ) -> object:
        query.refuse_others(names)
        return handler(settings, query, principal, zone, open_store)

    asked.__doc__ = handler.__doc__
    return asked


def from_body(handler: Handler, names: Sequence[str]) -> Callable[..., object]:
    """Return the handler of a POST that has the parameters of a GET in its body."""
    flags = [name for name in names if PARAMETERS[name][0]["type"] == "boolean"]

    def posted(
        settings: Settings,
        body: Body,
        principal: Principal | None,
        zone: tzinfo,
        now: float,
        open_store: OpenStore,
    ) -> object:
        values = body.values(names, flags=flags)
        joined = {
            name: [",".join(texts)] if name in LISTS else texts for name, texts in values.items()
        }
        query = Query(urlencode(joined, doseq=True), now, zone)
        return handler(settings, query, principal, zone, open_store)

    posted.__doc__ = handler.__doc__
    return posted


def get_schema(
    summary: str, example: Any, names: Sequence[str], content_type: str = JSON
) -> dict[str, Any]:
    """Return OpenAPI's description of a GET with these parameters."""
    parameters = [
        {"name": name, "in": "query", "schema": schema, "description": text}
        for name, (schema, text) in PARAMETERS.items()
        if name in names
    ]
    described = operation(summary, example, tag=TAG, content_type=content_type)
    return {**described, "parameters": parameters}


def post_schema(
    summary: str, example: Any, names: Sequence[str], content_type: str = JSON
) -> dict[str, Any]:
    """Return OpenAPI's description of a POST with these parameters in its body."""
    properties = {
        name: {**schema, "description": text}
        for name, (schema, text) in PARAMETERS.items()
        if name in names
    }
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    as_json = {
        **schema,
        "properties": {
            **properties,
            **{name: _text_or_names(properties[name]) for name in LISTS if name in names},
        },
    }
    grouped = {"by": ["source"]} if "by" in names else {"filter": "port 443"}
    content = {
        JSON: {"schema": as_json, "example": {**grouped, "last": "1h"}},
        FORM: {"schema": schema},
    }
    described = operation(summary, example, tag=TAG, content_type=content_type)
    return {**described, "requestBody": {"content": content}}


def _text_or_names(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "type": ["string", "array"], "items": {"type": "string"}}


def listed_names(query: Query, parameter: str) -> tuple[str, ...]:
    """Return the names of a parameter of `LISTS`."""
    text = query.text(parameter) or ""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def question_range(query: Query) -> tuple[int, int]:
    """Return the range in seconds UTC, half open."""
    since, until = query.range()
    end = math.ceil(query.now) if until is None else until
    start = max(end - DEFAULT_SPAN_SECONDS, 0) if since is None else since
    if start >= end:
        raise RequestError(400, "The range is empty: its start is not before its end")
    return start, end


def question_step_ms(query: Query, span: tuple[int, int]) -> int:
    """Return the length of a bin: as the caller says, or so that there are some two hundred."""
    text = query.text("step")
    if text is None:
        return fitting_step_ms((span[1] - span[0]) * 1000)
    interval = parse_interval(text)
    if interval is None or not interval.seconds:
        raise RequestError(400, "step: expected a whole number and one of s m h d w, such as 5m")
    return interval.seconds * 1000


def engine_and_conditions(
    query: Query,
    settings: Settings,
    principal: Principal | None,
    open_store: OpenStore,
    *,
    reads_sums: bool = False,
) -> tuple[QueryEngine, tuple[Condition, ...]]:
    """Return the engine that answers the caller, and the conditions of the parameter `filter`.

    Parameters
    ----------
    reads_sums
        The engine answers from sums of the store, too, where these are exact.

    Raises
    ------
    RequestError
        403: what the caller is bound to is not understood.
    """
    from appliance.query.engine import engine_from_settings
    from appliance.query.language.duckdb import parse_conditions

    def exporters() -> Sequence[ExporterRecord]:
        return open_store().exporters()

    engine = engine_from_settings(settings, open_store if reads_sums else None)
    bound = bound_engine(engine, principal, settings, exporters)
    names = caller_names(engine.search, principal, settings, exporters)
    return bound, parse_conditions([query.text("filter") or ""], names)
