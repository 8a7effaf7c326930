"""What the ledger costs: µs of a call for its three records, bytes on the disk: python tests/bench/ledger.py [folder]

One thread's CPU time, so that whatever else the machine does counts less; the best of some rounds.
"""

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import uvloop

from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.ledger_files import segments_in, usage_in
from tests.support.bookkeeping import called, whole

ROUNDS, CALLS, TURN = 20, 1000, 100


async def main(folder):
    ledger = FileLedger(folder, wall=time.time, new_id=lambda: secrets.token_hex(8), log=print)
    ledger.start()
    best = 1.0
    for number in range(ROUNDS):
        made = [
            whole(
                f"req_{number:08x}{n:08x}", at=int(time.time() * 1000), tenant="shop", model="qwen3-235b",
                region="north-america", backend="together-us", upstream="Qwen/Qwen3-235B-A22B-Instruct-2507-tput",
                credential="together-us#1.db51f7",
            )
            for n in range(CALLS)
        ]  # fmt: skip
        calls = [called(one) for one in made]
        used = 0.0
        for at in range(0, CALLS, TURN):
            began = time.thread_time()
            for one, call in zip(made[at : at + TURN], calls[at : at + TURN], strict=True):
                ledger.put(one.started)
                ledger.put(one.ended)
                ledger.put(call)
            used += time.thread_time() - began
            await ledger.flushed(10)
        best = min(best, used / CALLS)
    await ledger.close()
    size = sum(one.path.stat().st_size for one in segments_in(folder / "0"))
    print(f"records of a call: {best * 1e6:.1f} µs; {size / ROUNDS / CALLS:.0f} bytes on the disk")
    began = time.process_time()
    found = usage_in(folder)
    print(f"reading {found.records:,} records: {time.process_time() - began:.2f} s")


if __name__ == "__main__":
    place = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        uvloop.run(main(place))
    finally:
        shutil.rmtree(place)
