from typing import Any

import pytest

from hybridproxy.demo import local_http
from hybridproxy.demo.judgement import Changes
from hybridproxy.demo.watch import Phase, Sight, Watch, minus, read_metrics, read_reason
from hybridproxy.telemetry.metrics import Metrics

PAGE = """\
# TYPE hybridproxy_breaker_changes_total counter
hybridproxy_breaker_changes_total{backend="dashscope-sg",phase="open"} 2.0
hybridproxy_breaker_changes_total{backend="dashscope-sg",phase="half-open"} 1.0
hybridproxy_breaker_changes_total{backend="together-us",phase="open"} 7.0
hybridproxy_recovered_streams_total{backend="openrouter-us",way="resume"} 11.0
hybridproxy_recovered_streams_total{backend="openrouter-us",way="replay"} 3.0
"""


def test_the_metrics_are_read_as_the_proxy_writes_them() -> None:
    """The names are the proxy's own: what it renders is understood here, and nothing of another backend counts."""
    assert read_metrics(PAGE, "dashscope-sg") == Changes(opened=2, half_opened=1, closed=0, resumed=11)
    assert read_metrics("", "dashscope-sg") == Changes()
    metrics = Metrics(dict)
    for phase in Phase:
        metrics.phase_changed("dashscope-sg", phase.value)
    assert read_metrics(metrics.render().decode(), "dashscope-sg") == Changes(1, 1, 1, 0)


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        (Changes(), Phase.CLOSED),
        (Changes(opened=1), Phase.OPEN),
        (Changes(opened=1, half_opened=1), Phase.HALF_OPEN),
        (Changes(opened=2, half_opened=1), Phase.OPEN),
        (Changes(opened=2, half_opened=2), Phase.HALF_OPEN),
        (Changes(opened=2, half_opened=2, closed=1), Phase.CLOSED),
    ],
)
def test_the_phase_follows_from_the_counts(changes: Changes, phase: Phase) -> None:
    """However quickly the phases change, the counts tell which one holds."""
    assert Sight(changes).phase is phase


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("health: open: 5 faults in a row", "5 faults in a row"),
        ("health: half-open: its probe failed", "its probe failed"),
        ("region asia", ""),
        ("last: coming back by a ramp", ""),
    ],
)
def test_the_reason_is_taken_from_the_decision(reason: str, read: str) -> None:
    """Only what the breaker says is a reason of the breaker."""
    rows = [{"backend": "other", "reason": "health: open: not this"}, {"backend": "dashscope-sg", "reason": reason}]
    assert read_reason({"candidates": rows}, "dashscope-sg") == read


@pytest.mark.parametrize("decision", [None, [], {}, {"candidates": [{"backend": "dashscope-sg"}]}])
def test_an_answer_of_another_form_has_no_reason(decision: Any) -> None:
    """The act goes on without."""
    assert read_reason(decision, "dashscope-sg") == ""


def test_a_watch_counts_from_its_first_look_and_keeps_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier steps do not count, and an admin port that does not answer for a moment changes nothing."""
    pages: list[str | None] = [PAGE, PAGE.replace('="open"} 2.0', '="open"} 3.0'), None]
    opened = {"candidates": [{"backend": "dashscope-sg", "reason": "health: open: 5 faults"}]}
    monkeypatch.setattr(local_http, "text", lambda *_: pages.pop(0))
    monkeypatch.setattr(local_http, "post", lambda *_: opened)
    watch = Watch(1, "token", "dashscope-sg", {"tenant": "chat"})
    seen = watch.look()
    assert seen == Sight(Changes(opened=1), "5 faults")
    assert watch.look() is seen


def test_the_difference_of_two_counts() -> None:
    """Each count by itself."""
    assert minus(Changes(5, 4, 3, 2), Changes(1, 1, 1, 1)) == Changes(4, 3, 2, 1)
