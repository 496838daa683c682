"""Tests of a lifecycle, derived from its declaration: every pair enumerated, the rest searched.

    from baqup_agent.testing import lifecycle_tests

    TestMyAgent = lifecycle_tests(MyAgent)

pytest collects the class as if it had been written by hand; ids name what is tested, for example
``test_pair[running.dumping-dumped]``. pytest and hypothesis have to be installed.
"""

from __future__ import annotations

from baqup_agent.testing.lifecycle.coverage import Coverage
from baqup_agent.testing.lifecycle.failure import LifecycleFailure
from baqup_agent.testing.lifecycle.pytest_class import lifecycle_tests
from baqup_agent.testing.lifecycle.suite import Case, Suite, suite_of

__all__ = ["Case", "Coverage", "LifecycleFailure", "Suite", "lifecycle_tests", "suite_of"]
