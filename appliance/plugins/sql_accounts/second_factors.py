"""Second factors in the appliance database; see `appliance.contracts.AccountStore`."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.contracts import AccountError, Problem, Totp, Why
from appliance.plugins.sql_accounts.account_writer import AccountWriter


class SecondFactors(AccountWriter):
    """TOTP secrets and recovery codes."""

    def totp(self, user_id: int) -> Totp | None:
        """Return the second factor of a user."""
        kept, code = self.models.totp, self.models.recovery_code
        with self.database.transaction():
            rows = list(kept.select().where(kept.account == user_id))
            n_codes = code.select().where(code.account == user_id).count() if rows else 0
        return Totp(rows[0].secret, bool(rows[0].is_on), n_codes) if rows else None

    def enrol_totp(self, user_id: int, secret: str) -> None:
        """Keep the secret of a second factor that is not on yet."""
        kept = self.models.totp
        with self.writing():
            if kept.select().where((kept.account == user_id) & kept.is_on).exists():
                raise AccountError(Problem(Why.TOTP_IS_ON))
            kept.replace(account=user_id, secret=secret, is_on=False, used_step=0).execute()

    def confirm_totp(self, user_id: int, secret: str, step: int, digests: Iterable[str]) -> bool:
        """Turn a second factor on, unless its secret was replaced meanwhile."""
        kept, code = self.models.totp, self.models.recovery_code
        with self.writing():
            same = (kept.account == user_id) & (kept.secret == secret) & ~kept.is_on
            if not kept.update(is_on=True, used_step=step).where(same).execute():
                return False
            code.insert_many([(digest, user_id) for digest in digests]).execute()
        return True

    def use_totp_step(self, user_id: int, step: int) -> bool:
        """Mark a time step as used."""
        kept = self.models.totp
        with self.writing():
            newer = (kept.account == user_id) & kept.is_on & (kept.used_step < step)
            return bool(kept.update(used_step=step).where(newer).execute())

    def use_recovery_code(self, user_id: int, digest: str) -> bool:
        """Take a recovery code away."""
        code = self.models.recovery_code
        with self.writing():
            same = (code.account == user_id) & (code.digest == digest)
            return bool(code.delete().where(same).execute())

    def disable_totp(self, user_id: int) -> bool:
        """Delete the second factor of a user with its recovery codes."""
        kept, code = self.models.totp, self.models.recovery_code
        with self.writing():
            code.delete().where(code.account == user_id).execute()
            return bool(kept.delete().where(kept.account == user_id).execute())
