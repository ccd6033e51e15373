"""What a report can contain: its sections, and of which flows."""

from __future__ import annotations

from dataclasses import dataclass

TOTALS, TRAFFIC, INTERFACES, CUSTOMERS_SECTION = "totals", "traffic", "interfaces", "customers"
FIXED_SECTIONS = (TOTALS, TRAFFIC, INTERFACES, CUSTOMERS_SECTION)
"""Every other section is a dimension of the query engine: its largest groups."""

DEFAULT_TOPS = ("source", "destination", "service", "exporter")
DEFAULT_SECTIONS = (TOTALS, TRAFFIC, *DEFAULT_TOPS, INTERFACES, CUSTOMERS_SECTION)
DEFAULT_ROWS = 10


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a report.

    Attributes
    ----------
    name
        Of the named report; empty for one that was just asked for.
    filter
        Which flows count, in the language of filters; empty for all.
    sections
        Of `FIXED_SECTIONS`, and dimensions for lists of the largest, in their order.
    customers
        Names in `reports.customers`; empty for all of them.
    rows
        Of each list.
    """

    name: str = ""
    filter: str = ""
    sections: tuple[str, ...] = DEFAULT_SECTIONS
    customers: tuple[str, ...] = ()
    rows: int = DEFAULT_ROWS

    @property
    def tops(self) -> tuple[str, ...]:
        """The dimensions of lists."""
        return tuple(section for section in self.sections if section not in FIXED_SECTIONS)


EVERYTHING = Contents()
