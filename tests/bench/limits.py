"""What limits of tenants cost a call, in µs of this machine's CPU: python tests/bench/limits.py

CPU time of the thread, minimum of five rounds: other work on the machine only ever makes a round longer.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hybridproxy.gateway.admission import Admission
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.limits import Caps, Limits, ModelLimits, Rates
from hybridproxy.model.plan import Plan
from hybridproxy.model.snapshot import DEFAULT_HANDLING, Tenant
from hybridproxy.stores.quotas import Quotas
from tests.support import make

MANY = 10**9
RATES, CAPS = Rates(rpm=MANY, tpm=MANY, streams=MANY), Caps(day=10**18, month=10**18)
TENANTS = {
    "without a limit": Limits(),
    "requests a minute": Limits(Rates(rpm=MANY)),
    "requests, calls at a time": Limits(Rates(rpm=MANY, streams=MANY)),
    "requests, tokens, calls, day": Limits(RATES, Caps(day=10**18)),
    "requests, tokens, calls, day, month": Limits(RATES, CAPS),
    "the same, and for a pattern": Limits(RATES, CAPS, (ModelLimits("qw*", RATES, CAPS),)),
}


class Spender:
    reached, tokens, cost = True, 300, 1000


def cost(job, times=2000, rounds=5):
    best = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            job()
        best = min(best, time.thread_time() - began)
    return best / times * 1e6


def main():
    quotas = Quotas(time.monotonic, time.time)
    target = make.target()
    plan = Plan((target, target, target), (), DEFAULT_HANDLING)
    if hasattr(plan, "family"):
        plan = replace(plan, family="qwen3")
    for text in ("hello", "x" * 100_000):
        asked = make.call(text=text)
        for name, limits in TENANTS.items():
            tenant = Tenant(name, "default")
            if limits != tenant.limits:
                tenant = replace(tenant, limits=limits)

            def call():
                admission = Admission(quotas, tenant, Dialect.OPENAI)
                admission.enter()
                admission.reserve(asked, plan)
                admission.headers()
                admission.settle(Spender)
                admission.close()

            print(f"{len(text):7,} bytes  {name:38}{cost(call, 2000):7.2f}")
    full = Tenant("full", "default", limits=Limits(Rates(rpm=1)))
    mine = quotas.of(full)
    quotas.reserve(mine, mine.covering("qwen"))

    def refused():
        admission = Admission(quotas, full, Dialect.OPENAI)
        admission.enter()
        admission.close()

    print(f"{'':15}{'a refusal, with its answer':38}{cost(refused, 2000):7.2f}")


if __name__ == "__main__":
    main()
