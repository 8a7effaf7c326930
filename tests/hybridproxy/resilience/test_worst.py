"""What the caller is told when every attempt failed."""

from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.resilience.worst import worst
from tests.support.playbook import BAD, BUSY, DOWN, LONG


def test_one_fault_is_told_as_it_is() -> None:
    """Nothing to sum up."""
    assert worst([BUSY]) is BUSY


def test_a_callers_own_mistake_stands_for_itself() -> None:
    """That another backend was down before does not make the request valid."""
    assert worst([DOWN, BAD]) is BAD


def test_only_when_all_throttle_is_the_caller_throttled() -> None:
    """429 would tell the caller to slow down, though one backend was simply broken; the shortest wait is passed on."""
    later = Fault(FaultKind.THROTTLED, backend="dashscope-sg", retry_after=7.0, billed=True)
    assert worst([BUSY, later]).kind is FaultKind.THROTTLED
    mixed = worst([DOWN, later, BUSY])
    assert (mixed.kind, mixed.retry_after, mixed.billed) == (FaultKind.OVERLOADED, 2.0, True)
    assert mixed.words == (
        "together-us: it could not be reached; dashscope-sg: it is throttling us; "
        "openrouter-us: it is throttling us (HTTP 429): slow down"
    )


def test_no_wait_is_passed_on_where_waiting_does_not_help() -> None:
    """The input stays too long however long the caller waits; and nobody asked for a wait, nobody gets one."""
    assert worst([BUSY, LONG]).retry_after is None
    assert worst([DOWN, DOWN]).retry_after is None
