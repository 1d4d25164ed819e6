"""The service's settings, but for the jobs: `tests.faults.jobs` misbehave when a test asks for it."""

from automl.settings import *  # noqa: F403

ENGINE_JOBS = "tests.faults.jobs"
