"""What a refusal costs a worker that has too much to do, in µs of this machine's CPU: python tests/bench/refusals.py

From a call's bytes to those of its answer, over a connection of the server whose transport only keeps what is written;
a socket's read and write come on top. CPU time of the thread, minimum of five rounds: other work on the machine only
ever makes a round longer.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hybridproxy.config.keys import digest_of, find_tenant
from hybridproxy.gateway.admission import Admission
from hybridproxy.gateway.memory import Memory
from hybridproxy.gateway.pressure import Pressure
from hybridproxy.ingress.connection import Server
from hybridproxy.ingress.early import Refusals
from hybridproxy.model.limits import Limits, Rates
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.shedding import CALM, Shedding
from hybridproxy.stores.quotas import Quotas


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = 0

    def write(self, data):
        self.written += len(data)

    def is_closing(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def close(self):
        pass


def cost(job, times=5000, rounds=5):
    best = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            job()
        best = min(best, time.thread_time() - began)
    return best / times * 1e6


async def never(_request):
    raise AssertionError


async def main():
    loop = asyncio.get_running_loop()
    ids = iter(range(10**9))
    pressure = Pressure(lambda: 3, Memory(), clock=loop.time, log=lambda *_, **__: None, most=5000, late=0.1)
    limits = Limits(Rates(rpm=10**9, streams=10**9))
    tenant, quotas, key = Tenant("shop", "default", limits=limits), Quotas(time.monotonic, time.time), f"hp_{'A' * 43}"
    keys = {digest_of(key): tenant}

    def own_limit(dialect, key):  # what the gateway does
        return Admission(quotas, find_tenant(keys, key), dialect).full()

    refusals = Refusals(pressure, lambda: f"req_0123456789abcdef{next(ids):08x}", own_limit)
    server = Server(never, refusals, keepalive_timeout=75)
    connection, transport = server(), Transport()
    connection.connection_made(transport)
    await asyncio.sleep(0)

    pressure.engaged, pressure.state = True, Shedding(rate=1.0)
    for path in ("/v1/chat/completions", "/v1/messages"):
        for size in (300, 2000, 50_000):
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\naccept: */*\r\n"
            data = f"{head}content-type: application/json\r\ncontent-length: {size}\r\n\r\n{'x' * size}".encode()
            before = transport.written
            spent = cost(lambda data=data: connection.data_received(data))
            assert transport.written > before
            print(f"{size:7,} bytes  {'refused ' + path:38}{spent:7.2f}")

    tenant.limits = Limits(Rates(rpm=0, streams=10**9))
    spent = cost(lambda: connection.data_received(data))
    print(f"{'':15}{'refused by its tenant limit':38}{spent:7.2f}")
    pressure.engaged, pressure.state = False, CALM
    print(f"{'':15}{'what asking costs a call on a good day':38} {cost(pressure.refuses):6.2f}")
    pressure.close()
    connection.force_close()


if __name__ == "__main__":
    asyncio.run(main())
