"""Templates of all exporters: learned, withdrawn, expired, within limits (RFC 7011 section 8)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from appliance.collector.exporter_places import ExporterPlaces
from appliance.collector.exporter_state import ExporterLimits, ExporterState, KnownTemplate
from appliance.decoding.results import Exporter
from appliance.decoding.sampling.knowledge import Sampling
from appliance.decoding.templates.template import Template, unknown_elements
from appliance.decoding.templates.timeline import Family, SessionDomain, TemplateChange

MAX_UNKNOWN_SHOWN = 16
"""Unknown elements of a template that the health of its exporter names."""

_OCTETS_PER_FIELD, _OCTETS_PER_TEMPLATE = 100, 600
_UNHEARD = ExporterState()


class ExporterTemplates(ExporterPlaces):
    """The exporters with their templates.

    Attributes
    ----------
    news
        Grows with everything that is worth saving: templates, sampling, names.
    templates_of_others
        Templates that other collectors learned, by family and identifier: for sessions that
        announced none here.
    sampling_of_others
        What options records told other collectors of sampling, by exporter and protocol version.
    """

    def __init__(
        self, limits: ExporterLimits, is_named: Callable[[Exporter], bool] = lambda _: False
    ) -> None:
        """Know nobody yet; see `ExporterPlaces`."""
        super().__init__(limits, is_named)
        self.news = 0
        self.templates_of_others: Mapping[tuple[Family, int], Template] = {}
        self.sampling_of_others: Mapping[tuple[Exporter, int], Sampling] = {}

    def own_template(self, scope: SessionDomain, template_id: int) -> Template | None:
        """Return the template that this session announced."""
        known = self._state(scope.exporter).templates.get((scope, template_id))
        return None if known is None else known.template

    def learn_template(self, change: TemplateChange, now_ms: int) -> None:
        """Remember a template, in the place of the one that its session had under this number."""
        scope, template = change.scope, change.template
        state = self.open(scope.exporter, now_ms)
        key = (scope, template.template_id)
        before = state.templates.get(key)
        if before is not None and before.template == template:
            template, unknown = before.template, before.unknown_elements
        else:
            unknown = unknown_elements(template.fields)[:MAX_UNKNOWN_SHOWN]
            self.counts["templates_new" if before is None else "templates_changed"] += 1
            self.news += not scope.is_connection
        if before is not None:
            self._forget_template(state, key)
        known = KnownTemplate(scope, template, now_ms, unknown)
        state.templates[key] = known
        state.tellers.setdefault((scope.family, key[1]), OrderedDict())[scope.port] = known
        state.announced.setdefault(scope.port, set()).add((scope.family, key[1]))
        state.of_kind.setdefault((scope, template.options), set()).add(key[1])
        state.template_fields += len(template.fields)
        self.grow(state, _template_octets(template))
        while len(state.templates) > self.limits.templates or (
            state.template_fields > self.limits.template_fields and len(state.templates) > 1
        ):
            self._forget_template(state, next(iter(state.templates)))
            self.counts["templates_forgotten"] += 1

    def _forget_template(self, state: ExporterState, key: tuple[SessionDomain, int]) -> None:
        known = state.templates.pop(key)
        state.template_fields -= len(known.template.fields)
        self.grow(state, -_template_octets(known.template))
        of_family = key[0].family, key[1]
        del state.tellers[of_family][key[0].port]
        of_kind = key[0], known.template.options
        state.of_kind[of_kind].discard(key[1])
        if not state.of_kind[of_kind]:
            del state.of_kind[of_kind]
        state.announced[key[0].port].discard(of_family)
        if not state.announced[key[0].port]:
            del state.announced[key[0].port]
        if not state.tellers[of_family]:
            del state.tellers[of_family]

    def withdraw_template(self, change: TemplateChange) -> None:
        """Forget a template of a connection, or all of its kind."""
        scope, template = change.scope, change.template
        state = self._state(scope.exporter)
        numbers = [template.template_id]
        if change.withdraws_all:
            numbers = list(state.of_kind.get((scope, template.options), ()))
        for number in numbers:
            if (scope, number) in state.templates:
                self._forget_template(state, (scope, number))
                self.counts["templates_withdrawn"] += 1

    def forget_templates(
        self, state: ExporterState, is_chosen: Callable[[KnownTemplate], bool]
    ) -> int:
        """Forget templates of an exporter; return how many."""
        keys = [key for key, known in state.templates.items() if is_chosen(known)]
        for key in keys:
            self._forget_template(state, key)
        return len(keys)

    def _state(self, exporter: Exporter) -> ExporterState:
        return self.exporters.get(exporter, _UNHEARD)


def _template_octets(template: Template) -> int:
    return _OCTETS_PER_TEMPLATE + _OCTETS_PER_FIELD * len(template.fields)
