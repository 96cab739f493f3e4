"""Studies read runs, as the tests of runs make them."""

from tests.runs.conftest import home, pids, spec_of  # noqa: F401
