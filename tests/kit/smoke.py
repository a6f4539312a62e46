"""`make smoke` as tests see it."""

from credits import Client
from dev.smoke.run import tell
from dev.smoke.story import Story, fresh_account

__all__ = ["Client", "Story", "fresh_account", "tell"]
