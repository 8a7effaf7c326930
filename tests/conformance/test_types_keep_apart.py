"""What keeps sovereign calls apart are types: `mypy --strict` refuses the wrong call and passes the right one.

Each row is a small program. They are checked in one run, with the project's own configuration and without a network.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
from hybridproxy.app import Worker
from hybridproxy.gateway.driver import Ask, Driver
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.pipeline import Gateway
from hybridproxy.gateway.running import Running
from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.facts import CallFacts, Observer
from hybridproxy.model.health import HealthKey
from hybridproxy.model.plan import Plan, Refusal, Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.resilience.budget import Allowance
from hybridproxy.resilience.hedge import FirstTokens, hedge_after
from hybridproxy.resilience.terms import Terms
from hybridproxy.routing.plan import plan, plan_sovereign
from hybridproxy.telemetry.logs import Log
from hybridproxy.telemetry.metrics import Metrics
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.upstream import Sink, UpstreamRequest


async def main(
    general: GeneralSession, sovereign: SovereignSession, target: Target[Backend], inside: Target[SovereignBackend],
    ordinary: Plan[Backend], secret: Plan[SovereignBackend], request: UpstreamRequest, sink: Sink, call: Call,
    parts: Parts, ask: Ask, terms: Terms, allowance: Allowance, log: Log, metrics: Metrics, observer: Observer,
    facts: CallFacts, running: Running, known: dict[HealthKey, FirstTokens], backend: Backend, vpc: SovereignBackend,
    caller: Caller, snapshot: Snapshot,
) -> None:
    # one line follows
"""

ROWS: dict[str, tuple[str, str, str]] = {
    # what: the right line, the wrong line, the code of the refusal
    "a target for the general session": (
        "general.start(target, request, sink)", "general.start(inside, request, sink)", "arg-type"
    ),
    "a check by the general session": ("await general.check(target)", "await general.check(inside)", "arg-type"),
    "a target for the sovereign session": (
        "sovereign.start(inside, request, sink)", "sovereign.start(target, request, sink)", "arg-type"
    ),
    "a check by the sovereign session": ("await sovereign.check(inside)", "await sovereign.check(target)", "arg-type"),
    "a plan for the general way": (
        "Driver(call, ordinary, general, parts, ask, terms, allowance)",
        "Driver(call, secret, general, parts, ask, terms, allowance)",
        "arg-type|misc",
    ),
    "a plan for the sovereign way": (
        "Driver(call, secret, sovereign, parts, ask, terms, allowance)",
        "Driver(call, ordinary, sovereign, parts, ask, terms, allowance)",
        "arg-type|misc",
    ),
    "the gateway's two ways": (
        "Gateway(running, parts, general=general, sovereign=sovereign)",
        "Gateway(running, parts, general=sovereign, sovereign=general)",
        "arg-type",
    ),
    "the gateway's sovereign way": (
        "Gateway(running, parts, general=general, sovereign=sovereign)",
        "Gateway(running, parts, general=general, sovereign=general)",
        "arg-type",
    ),
    "a hedge": ("hedge_after(ordinary, known)", "hedge_after(secret, known)", "arg-type"),
    "the time of a hedge": (
        "Terms(stream=True, hedge_after=hedge_after(ordinary, known))",
        "Terms(stream=True, hedge_after=2.0)",
        "arg-type",
    ),
    "a hedge for a sovereign call": (
        "Terms(stream=True, hedge_after=hedge_after(ordinary, known))",
        "Terms(stream=True, hedge_after=hedge_after(secret, known))",
        "arg-type",
    ),
    "a backend for another's": ("backend.trust", "back: Backend = vpc", "assignment"),
    "a target of another's": ("one: Target[Backend] = target", "one: Target[Backend] = inside", "assignment"),
    "a plan of another's": (
        "made: Plan[Backend] | Refusal = plan(call, caller, snapshot, {}, 0.0, parts.rng)",
        "made: Plan[Backend] | Refusal = plan_sovereign(call, caller, snapshot, {}, 0.0, parts.rng)",
        "assignment",
    ),
    "facts for an observer": ("observer.call_finished(facts)", "observer.call_finished(secret)", "arg-type"),
    "a target for an observer": ("observer.call_finished(facts)", "observer.call_finished(inside)", "arg-type"),
    "facts for the metrics": ("metrics.call_finished(facts)", "metrics.call_finished(vpc)", "arg-type"),
    "facts for the log": ("log.call_finished(facts)", "log.call_finished(inside)", "arg-type"),
    "a name in the metrics": ("metrics.egress_refused(vpc.id)", "metrics.egress_refused(vpc)", "arg-type"),
    "a session in the metrics": ("metrics.egress_refused('vpc')", "metrics.egress_refused(sovereign)", "arg-type"),
    "a backend in an event": ("log.event('x', backend=vpc.id)", "log.event('x', backend=vpc)", "arg-type"),
    "a target in an event": ("log.event('x', n=1)", "log.event('x', target=inside)", "arg-type"),
    "a plan in an event": ("log.event('x', names=['a'])", "log.event('x', plans=[secret])", "list-item"),
    "a session in an event": ("log.event('x', up=None)", "log.event('x', way=sovereign)", "arg-type"),
    "a call in an event": ("log.event('x', d={'a': 1.5})", "log.event('x', call=call)", "arg-type"),
    "a backend in the facts": (
        "CallFacts('id', Operation.CHAT, backend=vpc.id)", "CallFacts('id', Operation.CHAT, backend=vpc)", "arg-type"
    ),
    "targets in the facts": (
        "CallFacts('id', Operation.CHAT, candidates=secret.candidates)",
        "CallFacts('id', Operation.CHAT, candidates=secret.targets)",
        "arg-type",
    ),
}  # fmt: skip


def program(line: str) -> str:
    """Return a program that does one thing."""
    return f"{HEAD}    {line}\n"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of each program, by the program's name."""
    folder = tmp_path_factory.mktemp("programs")
    for number, (right, wrong, _) in enumerate(ROWS.values()):
        (folder / f"right_{number}.py").write_text(program(right))
        (folder / f"wrong_{number}.py").write_text(program(wrong))
    names = sorted(path.name for path in folder.iterdir())
    command = [
        sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary",
        "--cache-dir", str(ROOT / ".mypy_cache"), "--no-pretty", "--hide-error-context", "--no-color-output",
        *(str(folder / name) for name in names),
    ]  # fmt: skip
    environ = {"MYPYPATH": str(folder), "PATH": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    said: dict[str, list[str]] = {name: [] for name in names}
    for line in done.stdout.splitlines():
        found = re.match(r"(?:.*/)?([a-z]+_\d+\.py):\d+: error: (.*)", line)
        if found:
            said[found[1]].append(found[2])
        else:
            assert ": note: " in line, line
    return said


@pytest.mark.xdist_group("mypy")  # one process runs it, not each of them at the same time
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ROWS)
def test_the_wrong_call_is_refused_and_the_right_one_is_not(what: str, checked: dict[str, list[str]]) -> None:
    """Of each pair of programs, which differ in one line, one passes and one is refused in that line for its type."""
    number = list(ROWS).index(what)
    assert checked[f"right_{number}.py"] == []
    refused = checked[f"wrong_{number}.py"]
    assert refused
    assert all(re.search(rf"\[(?:{ROWS[what][2]})\]$", line) for line in refused), refused
