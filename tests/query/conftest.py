"""A flow log in a temporary folder, as the tests of the flow log have it."""

from tests.flowlog.conftest import log, make_batch, new_log

__all__ = ["log", "make_batch", "new_log"]
