"""What the reliability group costs a call, in µs of this machine's CPU, with 30 backends: python tests/bench/resilience.py

One line a part; the last says what a healthy call pays in all, against the budget of 10 µs. Minimum of five rounds: other
work on the machine only ever makes a round longer.
"""

import asyncio
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hybridproxy.model.health import Ban
from hybridproxy.model.limits import Rates
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.budget import Allowances
from hybridproxy.resilience.events import (
    Finished,
    FirstOutput,
)
from hybridproxy.resilience.execution import Execution
from hybridproxy.resilience.terms import Terms
from hybridproxy.routing.plan import plan
from hybridproxy.stores.gates import Wish
from hybridproxy.stores.limiters import Limiters
from hybridproxy.stores.memory import MemoryHealth
from tests.support.make import backend, call, caller, model, snapshot

BACKENDS = 30
LIMITED = (
    ("rpm", Rates(rpm=10**12)),
    ("rpm and tpm", Rates(rpm=10**12, tpm=10**15)),
    ("all three", Rates(10**12, 10**15, 100)),
)
WISH = Wish("shop", prompt=100, answer=500)
BUDGET = 10.0


def cost(job, times=5000, rounds=5):
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            job()
        best = min(best, time.process_time() - began)
    return best / times * 1e6


def main():
    names = [f"backend-{n}" for n in range(BACKENDS)]
    made = snapshot(
        backends=[backend(name) for name in names],
        models=[model("qwen", dict.fromkeys(names, "q"))],
        regions={"asia": [[name] for name in names]},
    )
    asked, who, rng, now = call(), caller(), random.Random(1), 100.0
    healthy = plan(asked, who, made, {}, now, rng)
    out = {target.health_key: Ban(1e9, "open") for target in healthy.targets[:3]}
    health = MemoryHealth(time.monotonic, time.time, rng.random)
    key = healthy.targets[0].health_key
    allowances, terms = Allowances(), Terms(stream=True)
    allowance = allowances.of("shop", now)

    def course():
        execution = Execution(healthy.targets, terms, allowance, rng)
        execution.start()
        execution.on(FirstOutput(0), now)
        execution.on(Finished(0), now)

    loop = asyncio.new_event_loop()
    limiters = Limiters(loop=loop)
    free = healthy.targets[0]
    bound = [replace(free, backend=replace(free.backend, id=name, limits=rates)) for name, rates in LIMITED]

    def at_liberty():
        limiters.free(free).end(100, 50)

    def within(target):
        def turn():
            if limiters.free(target) is None:
                limiters.ask(target, WISH).end(100, 50)

        return turn

    plain, three = cost(lambda: plan(asked, who, made, {}, now, rng)), cost(lambda: plan(asked, who, made, out, now, rng))
    start, end = cost(lambda: health.good(key, Signal.START)), cost(lambda: health.good(key, Signal.INTEGRITY))
    keys = 2 * cost(lambda: healthy.targets[0].health_key)
    room, paid = cost(lambda: allowances.of("shop", now).called(time.monotonic())), cost(lambda: allowance.spent(now, 1000))
    whole = cost(course)
    print(f"plan, {BACKENDS} backends, all fit            {plain:7.2f}")
    print(f"plan, 3 of them out                   {three:7.2f}   (health adds {three - plain:.2f})")
    print(f"a good start and a good end           {start + end + keys:7.2f}")
    print(f"the tenant's allowance                {room + paid:7.2f}")
    print(f"the course of a stream                {whole:7.2f}")
    liberty, of_rates = cost(at_liberty), [cost(within(target), 500) for target in bound]
    print(f"a turn where nothing is limited       {liberty:7.2f}")
    print(f"one within {' / '.join(name for name, _ in LIMITED):<27}{' / '.join(f'{one:.2f}' for one in of_rates)}")
    loop.close()
    total = liberty + start + end + keys + room + paid + whole
    print(f"a healthy streamed call, in all       {total:7.2f}   of {BUDGET:g}")


if __name__ == "__main__":
    main()
