"""What a choice between several engines costs a call, in µs of this machine's CPU: python tests/bench/cluster.py

Minimum of many short rounds: other work on the machine only ever makes a round longer.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hybridproxy.model.load import Loads, Reading
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.metrics import read_metrics
from hybridproxy.routing.plan import plan
from hybridproxy.stores.loads import MemoryLoads
from tests.support.make import backend, call, caller, model, snapshot

ENDPOINTS = 4
BUDGET = 5.0
PAGE = b"".join(b'vllm:e2e_request_latency_seconds_bucket{engine="0",le="%d"} %d.0\n' % (n, n) for n in range(1500)) + (
    b'vllm:num_requests_running{engine="0"} 7.0\nvllm:num_requests_waiting{engine="0"} 0.0\n'
    b'vllm:kv_cache_usage_perc{engine="0"} 0.5\n'
)


def cost(job, times=300, rounds=400):
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            job()
        best = min(best, time.perf_counter() - began)
    return best / times * 1e6


def main():
    rng, now, who = random.Random(1), 100.0, caller()
    asked = call(text="x" * 300)

    def planned(hosts, loads):
        made = snapshot(
            backends=[backend("a", hosts=hosts)], models=[model("qwen", {"a": "q"})], regions={"asia": [["a"]]}
        )
        return cost(lambda: plan(asked, who, made, {}, now, rng, loads))

    places = [("a", f"10.0.3.{n}:8000") for n in range(1, ENDPOINTS + 1)]
    loads = Loads(dict.fromkeys(places, 3), {place: Reading(5, 0, 0.4, now, 3) for place in places})
    kept = MemoryLoads()

    def counted():
        kept.began(places[0])
        kept.ended(places[0])

    one, several, told = planned(1, loads), planned(ENDPOINTS, Loads({}, {})), planned(ENDPOINTS, loads)
    count = cost(counted)
    print(f"plan, one endpoint                    {one:7.2f}")
    print(f"plan, {ENDPOINTS} endpoints, nothing known       {several:7.2f}")
    print(f"plan, {ENDPOINTS} endpoints that tell their load {told:7.2f}")
    print(f"the count of calls under way          {count:7.2f}")
    print(f"a choice, in all                      {told - one + count:7.2f}   of {BUDGET:g}")
    read = cost(lambda: read_metrics(PROVIDERS["vllm"].metrics, PAGE), times=5, rounds=50)
    print(f"reading one engine's page, {len(PAGE) // 1000} kB     {read:7.2f}   once a second, no call waits")


if __name__ == "__main__":
    main()
