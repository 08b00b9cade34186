"""How many examples the properties are tried on: always the same ones, but for

pytest tests/property --hypothesis-profile=search
"""

from hypothesis import HealthCheck, settings

COMMON = {
    "deadline": None,  # one example in a hundred meets a busy machine
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("same", max_examples=100, derandomize=True, database=None, **COMMON)
settings.register_profile("search", max_examples=5000, **COMMON)
settings.load_profile("same")
