"""What the audit log costs: time to the first byte of streams, with it and without, in one run: python tests/bench/audit.py

Two proxies, each a process of its own, one with an audit log on this machine's disk (or in --folder) and one without,
in front of the same simulated upstreams. Calls go to both by turns, so that whatever else the machine does hits both.
Targets: at most 25 ms more for sovereign calls, nothing measurable for others.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import aiohttp

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.stack import BANK, CONFIG, DEFAULTS, ENVIRON, SHOP, SMALL, TORONTO, chat, digest

PROVIDERS = ("dashscope", "together", "openrouter", "vllm")
TARGET = 25.0
TICKS = os.sysconf("SC_CLK_TCK")


class Proxy:
    def __init__(self, folder, simulators, port, audit):
        self.url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self.ready = f"http://127.0.0.1:{port}/readyz"
        urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
        digests = {"shop": digest(SHOP), "bank": digest(BANK), "small": digest(SMALL)}
        values = DEFAULTS | {"audit": "audit: {path: audit, anchor: heads}" if audit else ""}
        text = CONFIG.format(**values, **urls, **digests).replace("port: 0\n", f"port: {port}\n")
        folder.mkdir()
        self.file = folder / "hybridproxy.yaml"
        self.file.write_text("".join(line for line in text.splitlines(True) if not line.startswith("admin:")))

    async def start(self, http):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hybridproxy", "serve", "--config", str(self.file), cwd=self.file.parent,
            env=os.environ | ENVIRON | {"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.DEVNULL,
        )
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(self.ready) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    async def stop(self):
        self.process.terminate()
        await self.process.wait()


async def first_byte(http, proxy, key):
    headers = {"authorization": f"Bearer {key}", "x-forwarded-for": TORONTO}
    began = time.perf_counter()
    async with http.post(proxy.url, headers=headers, json=chat(stream=True)) as response:
        assert response.status == 200, await response.text()
        await response.content.readany()
        took = time.perf_counter() - began
        await response.read()
    return took * 1000


async def batch(http, proxy, key, calls, at_once):
    times, left = [], iter(range(calls))

    async def caller():
        for _ in left:
            times.append(await first_byte(http, proxy, key))

    before = proxy.cpu()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return times, proxy.cpu() - before


def shown(times):
    ordered = sorted(times)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]


async def main(folder, rounds, calls):
    simulators = await serve([SimulatorSpec(provider) for provider in PROVIDERS])
    probe = [asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) for _ in range(2)]
    listening = [await one for one in probe]
    ports = [one.sockets[0].getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        proxies = {
            "with": Proxy(folder / "with", simulators, ports[0], audit=True),
            "without": Proxy(folder / "without", simulators, ports[1], audit=False),
        }
        for proxy in proxies.values():
            await proxy.start(http)
        try:
            print(f"{'':22}{'with an audit log, ms':>27}{'without, ms':>24}   {'more, ms':>9}  {'CPU a call, µs':>20}")
            print(f"{'':22}{'median':>9}{'p99':>9}{'max':>9}{'median':>8}{'p99':>8}{'max':>8}   {'median':>9}  {'with':>8}{'without':>10}")
            worst = 0.0
            for who, key in (("sovereign", BANK), ("general", SHOP)):
                for at_once in (1, 32):
                    times = {name: [] for name in proxies}
                    cpu = dict.fromkeys(proxies, 0.0)
                    for number in range(rounds + 1):
                        for name in sorted(proxies, reverse=number % 2 == 0):
                            took, burnt = await batch(http, proxies[name], key, calls if number else 50, at_once)
                            if number:  # the first round warms up
                                times[name] += took
                                cpu[name] += burnt
                    one, other = shown(times["with"]), shown(times["without"])
                    each = {name: cpu[name] / len(times[name]) * 1e6 for name in proxies}
                    print(
                        f"{who + f', {at_once} at once':22}" + "".join(f"{v:9.2f}" for v in one)
                        + "".join(f"{v:8.2f}" for v in other) + f"   {one[0] - other[0]:+9.2f}  {each['with']:8.0f}{each['without']:10.0f}"
                    )
                    if who == "sovereign":
                        worst = max(worst, one[0] - other[0], one[1] - other[1])
            print(f"sovereign calls: at most {worst:.2f} ms more, median and p99 (target {TARGET:g})")
        finally:
            for proxy in proxies.values():
                await proxy.stop()
    await simulators.close()
    return worst <= TARGET


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the logs go: a disk to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        sys.exit(not asyncio.run(main(Path(made), given.rounds, given.calls)))
