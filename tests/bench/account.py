"""What the account of a call costs, and its ledger, in µs of this machine's CPU: python tests/bench/account.py

A call of one attempt that is answered: its account is opened, the attempt begins, ends and is charged for, and the call
is written down. CPU time of the thread, minimum of some rounds: other work on the machine only ever makes one longer.
"""

import random
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import uvloop

from hybridproxy.gateway.account import Account, Made
from hybridproxy.metering.records import NoLedger, Outcome, called
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.plan import Plan
from hybridproxy.model.price import price
from hybridproxy.model.snapshot import DEFAULT_HANDLING
from hybridproxy.model.usage import NOTHING_SEEN, Usage
from hybridproxy.resilience.budget import Allowances
from hybridproxy.resilience.events import Mode
from hybridproxy.resilience.execution import Execution
from hybridproxy.resilience.terms import Terms
from hybridproxy.stores.ledger import FileLedger
from tests.support import make

ROUNDS, CALLS = 30, 200


async def main(folder):
    ledger = FileLedger(folder, wall=time.time, new_id=lambda: secrets.token_hex(8), log=print)
    ledger.start()
    call, rng, allowances, terms = make.call(), random.Random(1), Allowances(), Terms(stream=True, prompt=100)
    target = replace(make.target(), price=price(0.2, 0.6))
    plan = Plan((target,), (), DEFAULT_HANDLING, family="qwen3")
    exchange = SimpleNamespace(repeated=False, billed=True)
    attempt = SimpleNamespace(exchange=exchange, usage=Usage(100, 50), seen=NOTHING_SEEN, refused=False)

    def course(number, parts=None):
        whose = SimpleNamespace(request_id=f"req_{number:016x}", tenant="shop", model="qwen3-235b", region="asia")
        allowance, now, bills = allowances.of("shop", time.monotonic()), time.monotonic(), ()
        execution = Execution((target,), terms, allowance, rng)
        if parts is not None:
            account = Account(call, whose, terms, allowance, execution, parts, plan)
            account.begin(0, Made(target, Mode.FRESH, now, None, attempt, None))
            account.end(0, Outcome.ANSWERED)
            account.settle(attempt, attempt.usage, joined=False)
            bills = tuple(account.bills)
        facts = CallFacts(
            request_id=whose.request_id, operation=Operation.CHAT, dialect=Dialect.OPENAI, tenant="shop", status=200,
            region="asia", model="qwen3-235b", stream=True, backend="a", attempts=1, usage=attempt.usage, bills=bills,
        )  # fmt: skip
        if parts is not None:
            parts.ledger.put(called(facts, int(time.time() * 1000)))

    kinds = {
        "beside": None,
        "account": SimpleNamespace(ledger=NoLedger(), wall=time.time),
        "both": SimpleNamespace(ledger=ledger, wall=time.time),
    }
    best = dict.fromkeys(kinds, float("inf"))
    for n in range(ROUNDS):
        for kind, parts in kinds.items():
            began = time.thread_time()
            for number in range(n * CALLS, (n + 1) * CALLS):
                course(number, parts)
            best[kind] = min(best[kind], (time.thread_time() - began) / CALLS * 1e6)
        await ledger.flushed(10)
    await ledger.close()
    print(f"the account of a call{best['account'] - best['beside']:10.1f}")
    print(f"with its ledger      {best['both'] - best['beside']:10.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        uvloop.run(main(Path(place)))
