"""Counters in plain integers, in Prometheus's words when it asks."""

import dataclasses

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hybridproxy.model.bill import NO_BILL, Basis, Bill
from hybridproxy.model.call import Operation
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.usage import Usage
from hybridproxy.telemetry import metrics as module
from hybridproxy.telemetry.metrics import Metrics

FACTS = CallFacts(
    request_id="r",
    operation=Operation.CHAT,
    region="asia",
    backend="a",
    attempts=2,
    usage=Usage(3, 4),
    bills=(
        ("b", NO_BILL),
        ("b", Bill(Usage(3, 0, estimated=True), 30, Basis.ESTIMATE, 30)),
        ("a", Bill(Usage(3, 4, cached=1, reasoning=2, written=1), 70, Basis.UPSTREAM, 75)),
    ),
    seconds=0.3,
    first_output=0.06,
)


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return what Prometheus would read: (name, label values…) -> value."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_calls_tokens_and_times_are_counted() -> None:
    """One call shows up in each of its metrics."""
    metrics = Metrics(lambda: {"hybridproxy_calls_in_flight": 7})
    metrics.call_finished(FACTS)
    metrics.call_finished(FACTS)
    read = samples(metrics)
    assert read["hybridproxy_calls_total", "a", "ok", "chat", "asia"] == 2
    assert read["hybridproxy_extra_attempts_total", "a"] == 2
    assert read["hybridproxy_tokens_total", "a", "prompt"] == 6
    assert read["hybridproxy_tokens_total", "a", "completion"] == 8
    assert [read["hybridproxy_tokens_total", "a", kind] for kind in ("cached", "written", "reasoning")] == [2, 2, 4]
    assert read["hybridproxy_tokens_total", "b", "prompt"] == 6
    assert read["hybridproxy_cost_nanodollars_total", "a", "upstream"] == 140
    assert read["hybridproxy_cost_by_table_nanodollars_total", "a"] == 150
    assert read["hybridproxy_cost_nanodollars_total", "b", "estimate"] == 60
    assert read["hybridproxy_call_seconds_bucket", "a", "0.25"] == 0
    assert read["hybridproxy_call_seconds_bucket", "a", "0.5"] == 2
    assert read["hybridproxy_call_seconds_count", "a"] == 2
    assert read["hybridproxy_call_seconds_sum", "a"] == pytest.approx(0.6)
    assert read["hybridproxy_first_output_seconds_bucket", "a", "0.1"] == 2
    assert read[("hybridproxy_calls_in_flight",)] == 7


def test_calls_that_limits_refused_are_counted_by_what_the_limit_bounds() -> None:
    """Tenants are no labels: there may be thousands."""
    metrics = Metrics(dict)
    for limited in ("tokens", "", "day", "tokens"):
        metrics.call_finished(dataclasses.replace(FACTS, limited=limited))
    read = samples(metrics)
    assert read["hybridproxy_limited_calls_total", "tokens"] == 2
    assert read["hybridproxy_limited_calls_total", "day"] == 1


def test_a_refused_call_has_no_backend() -> None:
    """Calls that reached no backend are counted under `none`."""
    metrics = Metrics(dict)
    metrics.call_finished(CallFacts(request_id="r", operation=Operation.CHAT, code="invalid_api_key"))
    assert samples(metrics)["hybridproxy_calls_total", "none", "invalid_api_key", "chat", "none"] == 1


def test_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of label values ends up in one series."""
    monkeypatch.setattr(module, "MAX_SERIES", 2)
    metrics = Metrics(dict)
    for i in range(10):
        metrics.call_finished(dataclasses.replace(FACTS, region=f"r{i}"))
    assert samples(metrics)["hybridproxy_calls_total", "other", "other", "other", "other"] == 8


def test_refused_connections_are_counted_by_backend() -> None:
    """What the guard stopped."""
    metrics = Metrics(dict)
    for backend in ("vpc", "vpc", "other"):
        metrics.egress_refused(backend)
    read = samples(metrics)
    assert read["hybridproxy_egress_refused_total", "vpc"] == 2
    assert read["hybridproxy_egress_refused_total", "other"] == 1
