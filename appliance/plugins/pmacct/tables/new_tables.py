"""How many tables (or files of `print`) the variables of one name may make.

Times of flows and addresses of exporters are what a stranger's datagram says, so a name with them
would make as many tables as strangers like. Rows beyond the limit are kept in a table that is
there: their columns tell of which bin, exporter and tag they are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appliance.plugins.pmacct.tables.plan import TablePlan
from appliance.plugins.pmacct.tables.sql_tables import Share, common_share

NEW_TABLES_AT_ONCE = 1000
"""A start with hundreds of exporters, or with weeks in the log, needs no more."""

NEW_TABLES_A_MINUTE = 60


class NewTableLimit:
    """A token bucket: so many tables at once, and so many more a minute."""

    def __init__(self) -> None:
        self._left, self._at = float(NEW_TABLES_AT_ONCE), float("inf")

    def apply(
        self, shares: Sequence[Share], missing: Collection[str], plan: TablePlan, now: float
    ) -> tuple[list[Share], list[str]]:
        """Move rows whose table would be one too many to the table of the nearest moment.

        Parameters
        ----------
        shares
            What is to be written, nearest to `now` first: the first get new tables.
        missing
            Names of tables that are not there.

        Returns
        -------
        tuple
            What is written instead, and sentences about what was moved.
        """
        self._refill(now)
        kept: dict[str, Share] = {}
        moved: list[Share] = []
        for share in shares:
            is_new = share.name in missing
            if is_new and self._left < 1:
                moved.append(share)
                continue
            self._left -= is_new
            kept[share.name] = share
        if not moved:
            return list(kept.values()), []
        common = common_share(plan, shares[0].moment)
        kept[common.name] = kept.get(common.name, common).with_rows_of(moved)
        return list(kept.values()), [
            f"plugin {plan.plugin}: {plan.table} would make {len(moved)} tables more than"
            f" {NEW_TABLES_A_MINUTE} a minute: their rows are in {common.name}"
        ]

    def _refill(self, now: float) -> None:
        minutes = max(now - self._at, 0.0) / 60
        self._left = min(self._left + minutes * NEW_TABLES_A_MINUTE, NEW_TABLES_AT_ONCE)
        self._at = now
