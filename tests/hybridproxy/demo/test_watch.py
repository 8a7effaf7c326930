from typing import Any

import pytest

from hybridproxy.demo import local_http
from hybridproxy.demo.judgement import Changes
from hybridproxy.demo.watch import Phase, Sight, Watch, minus, read_metrics, read_state
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


def state(admits: str, reason: str | None, ramp: float | None = None) -> dict[str, Any]:
    """Return what the admin port says when one target of Singapore's is not fit, or not wholly."""
    fit = {"admits": "all", "reason": None, "ramp": None}
    target = {"admits": admits, "reason": reason, "ramp": ramp}
    other = {"id": "other", "targets": [{"admits": "none", "reason": "open: not this", "ramp": None}]}
    return {"backends": [other, {"id": "dashscope-sg", "targets": [fit, target]}]}


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        (state("none", "open: 5 faults in a row"), ("5 faults in a row", None)),
        (state("probe", "half-open: its probe failed"), ("its probe failed", None)),
        (state("ramp", "coming back by a ramp", 0.37), ("coming back by a ramp", 0.37)),
        (state("all", None), ("", None)),
        ({"backends": []}, ("", None)),
    ],
)
def test_reason_and_ramp_are_those_of_the_target_that_is_not_fit(
    shown: dict[str, Any], read: tuple[str, float | None]
) -> None:
    """What is wrong with another backend, or was wrong before, is not shown."""
    assert read_state(shown, "dashscope-sg") == read


@pytest.mark.parametrize(
    "shown",
    [None, [], {}, {"backends": [{"id": "dashscope-sg"}]}, state("ramp", "", "much")],  # type: ignore[arg-type]
)
def test_a_state_of_another_form_has_no_reason(shown: Any) -> None:
    """The act goes on without."""
    assert read_state(shown, "dashscope-sg") == ("", None)


def test_a_watch_counts_from_its_first_look_and_keeps_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier steps do not count, and an admin port that does not answer for a moment changes nothing."""
    pages: list[str | None] = [PAGE, PAGE.replace('="open"} 2.0', '="open"} 3.0'), None]
    monkeypatch.setattr(local_http, "text", lambda *_: pages.pop(0))
    monkeypatch.setattr(local_http, "json_of", lambda *_: state("none", "open: 5 faults"))
    watch = Watch(1, "token", "dashscope-sg")
    seen = watch.look()
    assert seen == Sight(Changes(opened=1), "5 faults")
    assert watch.look() is seen


def test_the_difference_of_two_counts() -> None:
    """Each count by itself."""
    assert minus(Changes(5, 4, 3, 2), Changes(1, 1, 1, 1)) == Changes(4, 3, 2, 1)
