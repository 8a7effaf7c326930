"""What every test run shares: Hypothesis profiles, and the rule that nothing is skipped where that is forbidden."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.places import Place

# deadline: on a busy machine the time of one example says nothing. ci: the same examples in every run.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture
def unused_tcp_port_factory() -> Iterator[Callable[[], int]]:
    """Ports of 127.0.0.1 that nobody else gets before the test is over; pytest-asyncio's are anybody's at once."""
    with contextlib.ExitStack() as places:
        yield lambda: places.enter_context(contextlib.closing(Place())).port


@pytest.fixture
def unused_tcp_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    """One of them."""
    return unused_tcp_port_factory()


NOT_ALLOWED = "this machine does not allow it: "
"""How the reason of a skip begins where no program to install would help: the kernel says no."""


def skipped(config: pytest.Config) -> list[str]:
    """Return the skipped tests with their reasons; with xdist, only the process that reports knows."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = [] if reporter is None else reporter.stats.get("skipped", [])
    return [f"{report.nodeid}: {report.longrepr[2]}" for report in reports]


def skipped_though_forbidden(config: pytest.Config) -> list[str]:
    """Return the skipped tests with their reasons, when HYBRIDPROXY_FORBID_SKIPS=1 says that none may be."""
    if os.environ.get("HYBRIDPROXY_FORBID_SKIPS") != "1":
        return []
    return [name for name in skipped(config) if NOT_ALLOWED not in name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped what it must not."""
    if skipped_though_forbidden(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the skipped tests that made the run fail, and those that the machine does not allow."""
    if names := skipped_though_forbidden(config):
        terminalreporter.section("skipped, which HYBRIDPROXY_FORBID_SKIPS=1 forbids", red=True)
        for name in names:
            terminalreporter.line(name)
        terminalreporter.line("Install what they need: sh scripts/test-tools")
    if names := [name for name in skipped(config) if NOT_ALLOWED in name]:
        terminalreporter.section("not shown by this run", yellow=True)
        for name in names:
            terminalreporter.line(name)
