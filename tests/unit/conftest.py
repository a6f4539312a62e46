"""How Hypothesis runs here: no deadlines on a shared machine, nothing kept between runs."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
