"""Counters of calls, in plain integers; rendered for Prometheus only when it asks.

Counting through prometheus_client costs about 5 µs an observation, and rendering hundreds of its histogram children
blocks the loop; so a call only adds to a few integers, and a collector hands them over.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hybridproxy.model.bill import Basis, Bill
from hybridproxy.model.facts import CallFacts

BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 300.0)
"""Seconds; from a fast answer to the longest that a call may take by default."""

MAX_SERIES: Final = 2000
"""Label sets of one metric; more than that are counted together as `other`."""


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Begin empty."""
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the buckets as Prometheus wants them."""
        rows: list[tuple[str, float]] = []
        count = 0
        for bound, n in zip((*(f"{b:g}" for b in BUCKETS), "+Inf"), self.counts, strict=True):
            count += n
            rows.append((bound, count))
        return rows


class Metrics(Collector):
    """Counts finished calls; an observer."""

    def __init__(self, gauges: Callable[[], dict[str, float]]) -> None:
        """Count; `gauges` tells what is going on at the moment of a scrape, by metric name."""
        self._gauges = gauges
        self._calls: dict[tuple[str, str, str, str], int] = {}
        self._extra: dict[str, int] = {}
        self._phases: dict[tuple[str, str], int] = {}
        self._seams: dict[tuple[str, str], int] = {}
        self._hedged: dict[str, int] = {}
        self._lost = 0
        self._refused: dict[str, int] = {}
        self._limited: dict[str, int] = {}
        self._tokens: dict[tuple[str, str], int] = {}
        self._cost: dict[tuple[str, str], int] = {}
        self._table: dict[str, int] = {}
        self._seconds: dict[str, Histogram] = {}
        self._first: dict[str, Histogram] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def call_finished(self, facts: CallFacts) -> None:
        """Count one call."""
        backend = facts.backend or "none"
        calls = self._calls
        key = (backend, facts.region or "none", facts.operation.value, facts.code or "ok")
        if key not in calls and len(calls) >= MAX_SERIES:
            key = ("other", "other", "other", "other")
        calls[key] = calls.get(key, 0) + 1
        if facts.attempts > 1:
            self._extra[backend] = self._extra.get(backend, 0) + facts.attempts - 1
        if facts.lost or facts.hedged or facts.seams:
            self._count_unusual(facts, backend)
        if facts.limited:
            self._limited[facts.limited] = self._limited.get(facts.limited, 0) + 1
        for charged, bill in facts.bills:
            if bill.basis is not Basis.NOTHING:
                self._count_bill(charged, bill)
        seconds = self._seconds.get(backend)
        if seconds is None:
            seconds = self._seconds[backend] = Histogram()
        seconds.add(facts.seconds)
        if facts.first_output is not None:
            first = self._first.get(backend)
            if first is None:
                first = self._first[backend] = Histogram()
            first.add(facts.first_output)

    def _count_bill(self, backend: str, bill: Bill) -> None:
        usage, tokens, cost = bill.usage, self._tokens, self._cost
        for kind, n in (
            ("prompt", usage.prompt),
            ("completion", usage.completion),
            ("cached", usage.cached),
            ("written", usage.written),
            ("reasoning", usage.reasoning),
        ):
            if n:
                tokens[backend, kind] = tokens.get((backend, kind), 0) + n
        key = (backend, bill.basis.value)
        cost[key] = cost.get(key, 0) + bill.cost
        if bill.basis is Basis.UPSTREAM:
            self._table[backend] = self._table.get(backend, 0) + bill.table

    def _count_unusual(self, facts: CallFacts, backend: str) -> None:
        self._lost += facts.lost
        if facts.hedged:
            self._hedged[backend] = self._hedged.get(backend, 0) + 1
        for seam in facts.seams:
            key = (seam.after, seam.way)
            self._seams[key] = self._seams.get(key, 0) + 1

    def phase_changed(self, backend: str, phase: str) -> None:
        """Count a target that went to another phase of its breaker."""
        key = (backend, phase)
        self._phases[key] = self._phases.get(key, 0) + 1

    def egress_refused(self, backend: str) -> None:
        """Count a connection to a backend that was refused by us."""
        self._refused[backend] = self._refused.get(backend, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Hand the counts to the exposition."""
        calls = CounterMetricFamily(
            "hybridproxy_calls", "Finished calls.", labels=("backend", "region", "operation", "code")
        )
        for labels, n in self._calls.items():
            calls.add_metric(labels, n)
        yield calls
        extra = CounterMetricFamily(
            "hybridproxy_extra_attempts",
            "Attempts beyond a call's first, by the backend of the last.",
            labels=("backend",),
        )
        for backend, n in self._extra.items():
            extra.add_metric((backend,), n)
        yield extra
        phases = CounterMetricFamily(
            "hybridproxy_breaker_changes", "Targets that went to this phase.", labels=("backend", "phase")
        )
        for change, n in self._phases.items():
            phases.add_metric(change, n)
        yield phases
        refused = CounterMetricFamily(
            "hybridproxy_egress_refused",
            "Connections that the egress guard or a certificate stopped.",
            labels=("backend",),
        )
        for backend, n in self._refused.items():
            refused.add_metric((backend,), n)
        yield refused
        limited = CounterMetricFamily(
            "hybridproxy_limited_calls", "Calls that a limit or budget of their tenant refused.", labels=("measure",)
        )
        for measure, n in self._limited.items():
            limited.add_metric((measure,), n)
        yield limited
        seams = CounterMetricFamily(
            "hybridproxy_recovered_streams", "Streams that broke and went on.", labels=("backend", "way")
        )
        for way, n in self._seams.items():
            seams.add_metric(way, n)
        yield seams
        hedged = CounterMetricFamily(
            "hybridproxy_hedged_calls", "Calls for which a second backend was asked.", labels=("backend",)
        )
        for backend, n in self._hedged.items():
            hedged.add_metric((backend,), n)
        yield hedged
        yield CounterMetricFamily(
            "hybridproxy_lost_nanodollars", "What attempts may have cost for nothing.", self._lost
        )
        yield from self._used()
        for name, text, histograms in (
            ("hybridproxy_call_seconds", "Seconds from a call's arrival to its end.", self._seconds),
            ("hybridproxy_first_output_seconds", "Seconds to a stream's first output.", self._first),
        ):
            family = HistogramMetricFamily(name, text, labels=("backend",))
            for backend, histogram in histograms.items():
                family.add_metric((backend,), histogram.cumulative(), histogram.total)
            yield family
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(name, name.removeprefix("hybridproxy_").replace("_", " "), value)

    def _used(self) -> Iterator[Metric]:
        """Hand over what attempts used and cost."""
        tokens = CounterMetricFamily(
            "hybridproxy_tokens",
            "Tokens of attempts, as reported or as estimated; cached, written and reasoning are parts of the others.",
            labels=("backend", "kind"),
        )
        for pair, n in self._tokens.items():
            tokens.add_metric(pair, n)
        yield tokens
        cost = CounterMetricFamily(
            "hybridproxy_cost_nanodollars",
            "What attempts cost, by where that is from: upstream, table or estimate.",
            labels=("backend", "basis"),
        )
        for pair, n in self._cost.items():
            cost.add_metric(pair, n)
        yield cost
        table = CounterMetricFamily(
            "hybridproxy_cost_by_table_nanodollars",
            "What the table says of the attempts whose upstream told the cost.",
            labels=("backend",),
        )
        for backend, n in self._table.items():
            table.add_metric((backend,), n)
        yield table

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)
