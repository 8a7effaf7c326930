"""What every test run shares: Hypothesis profiles, and the rule that nothing is skipped where that is forbidden."""

import os

import pytest
from hypothesis import HealthCheck, settings

# deadline: on a busy machine the time of one example says nothing. ci: the same examples in every run.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def skipped_though_forbidden(config: pytest.Config) -> list[str]:
    """Return the skipped tests with their reasons, when HYBRIDPROXY_FORBID_SKIPS=1 says that none may be."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("HYBRIDPROXY_FORBID_SKIPS") != "1":
        return []
    return [f"{report.nodeid}: {report.longrepr[2]}" for report in reporter.stats.get("skipped", [])]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped what it must not; with xdist, only the process that reports knows."""
    if skipped_though_forbidden(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the skipped tests that made the run fail."""
    if names := skipped_though_forbidden(config):
        terminalreporter.section("skipped, which HYBRIDPROXY_FORBID_SKIPS=1 forbids", red=True)
        for name in names:
            terminalreporter.line(name)
        terminalreporter.line("Install what they need: sh scripts/test-tools")
