"""What a plugin's file of templates, sampling and names must return."""

from __future__ import annotations

from ipaddress import ip_address

from appliance.contracts import SavedSampling, SavedTemplate
from appliance.decoding.templates.template import Template
from appliance.guard.guards import Contract
from appliance.guard.values import (
    all_exactly,
    instance,
    list_of,
    nothing,
    number,
    of_type,
    optional,
    whole,
)


def _templates_read(value: object) -> tuple[list[SavedTemplate], int]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"expected templates and a number, found {type(value).__name__}")
    return _templates(value[0]), whole(value[1])


def _templates(value: object) -> list[SavedTemplate]:
    templates = list_of(SavedTemplate)(value)
    for address, domain, version, template in templates:
        ip_address(of_type(address, str))
        all_exactly((domain, version), int)
        of_type(template, Template)
    return templates


def _sampling(value: object) -> list[SavedSampling]:
    saved = list_of(SavedSampling)(value)
    for address, domain, version, kind, subject, rate in saved:
        ip_address(of_type(address, str))
        all_exactly((domain, version, subject), int)
        of_type(kind, str)
        number(rate)
    return saved


TEMPLATE_FILE = Contract(
    {
        "read": _templates_read,
        "write": nothing,
        "write_sampling": nothing,
        "write_applications": nothing,
        "read_others": optional(_templates),
        "read_sampling_of_others": optional(_sampling),
    },
    attributes={"name": instance(str)},
)
"""`appliance.contracts.TemplateFile`."""
