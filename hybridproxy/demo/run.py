"""One run of the demo from top to bottom: ports, programs, tour, invitation, and a clean end whatever happens."""

import importlib.util
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hybridproxy.demo import ports as ports_module
from hybridproxy.demo.costs import costs
from hybridproxy.demo.engine import PACKAGES as ENGINE_PACKAGES
from hybridproxy.demo.interrupts import Interrupts
from hybridproxy.demo.invitation import invitation
from hybridproxy.demo.outage import outage
from hybridproxy.demo.outcome import mismatches
from hybridproxy.demo.ports import HOST, Ports
from hybridproxy.demo.problem import ChildError, DemoError
from hybridproxy.demo.processes import Processes
from hybridproxy.demo.screen import Screen
from hybridproxy.demo.stage import Stage, asked
from hybridproxy.demo.tour import QUESTION, STEPS, Step
from hybridproxy.demo.workspace import Workspace

if TYPE_CHECKING:
    from hybridproxy.demo.callers import Callers

FINE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130
TOTAL: Final = len(STEPS) + 2
"""Steps with one call each, the outage, and what all that cost."""

WATCH: Final = 0.3
"""Seconds between two looks at the programs while the demo stays up."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is run: the two flags, the data port and the first port of the upstreams (0: any free ones)."""

    wait: bool = True
    real: bool = False
    port: int = ports_module.DATA_PORT
    sim_port: int = ports_module.SIM_PORT


def run(options: Options, screen: Screen) -> int:
    """Run the demo; return its exit status: 0, 1 where a step went wrong, 2 where it cannot start, 130 on Ctrl-C."""
    with Interrupts() as interrupts:
        processes = Processes(interrupts)
        try:
            try:
                return _demo(options, screen, processes)
            finally:
                processes.stop()
        except KeyboardInterrupt:
            processes.stop()  # once more: the interruption may have come while they were being stopped
            screen.say("stopped")
            return INTERRUPTED
        except ChildError as error:
            screen.problem(str(error))
            return FAILED
        except DemoError as error:
            screen.problem(f"hybridproxy demo: {error}")
            return MISUSE


def check_packages(*, real: bool) -> None:
    """Make sure that what the tour needs beyond the proxy is installed.

    Raises:
        DemoError: a package is missing.

    """
    wanted = {"openai": ("demo", "make demo")}
    if real:
        wanted |= dict.fromkeys(ENGINE_PACKAGES, ("real", "make demo-real"))
    for package, (extra, target) in wanted.items():
        if importlib.util.find_spec(package) is None:
            name = package.replace("_", "-")
            raise DemoError(
                f"the package {name} is needed and not installed: run `{target}`, or pip install -e '.[{extra}]'"
            )


def _demo(options: Options, screen: Screen, processes: Processes) -> int:
    check_packages(real=options.real)
    ports = ports_module.choose(options.port, options.sim_port)
    with Workspace(ports) as workspace:
        stage = Stage(ports, workspace, processes, real=options.real, paced=screen.is_terminal)
        screen.say("Starting the upstreams and the proxy …")
        stage.start()
        # after the start: the official client takes a second to import, and so do the programs to be ready
        from hybridproxy.demo.callers import MODEL, Callers  # noqa: PLC0415

        stage.wait_ready()
        _introduce(screen, ports, processes, real=options.real)
        callers = Callers(ports.data)
        wrong = [_step(n, step, stage, workspace, callers, screen) for n, step in enumerate(STEPS, start=1)]
        callers.close()
        wrong.append(outage(TOTAL - 1, TOTAL, stage, workspace, screen))
        wrong.append(costs(TOTAL, TOTAL, ports.admin, workspace.admin_token, STEPS, screen))
        status = _verdict(screen, sum(wrong))
        if options.wait:
            screen.say()
            screen.say("It stays up until Ctrl-C. In another terminal:")
            for what, lines in invitation(ports, workspace, MODEL):
                screen.say()
                screen.line(f"# {what}", style="dim")
                for line in lines:
                    screen.line(line)
            _stay(screen, stage)
        return status


def _introduce(screen: Screen, ports: Ports, processes: Processes, *, real: bool) -> None:
    pids = ", ".join(f"{child.name} {child.pid}" for child in processes.running)
    engine = "llama.cpp with a small real model" if real else "simulated"
    screen.say(f"{'proxy':<15}http://{HOST}:{ports.data} (admin port {ports.admin})")
    for name, port in ports.upstreams.items():
        screen.say(f"{name:<15}127.0.0.1:{port} ({engine if name == 'vpc' else 'simulated'})")
    screen.say(f"{'processes':<15}{pids}")


def _step(number: int, step: Step, stage: Stage, workspace: Workspace, callers: "Callers", screen: Screen) -> bool:
    """Make one step; return whether anything was not as expected."""
    from hybridproxy.demo.callers import MODEL  # noqa: PLC0415 - as above

    screen.begin(number, TOTAL, step, MODEL)
    before = stage.counts()
    if step.trouble is not None:
        stage.make(step.trouble)
    outcome = callers.ask(workspace.keys[step.caller.tenant], step.caller.address, QUESTION, screen.text)
    got = asked(before, stage.counts())
    wrong = mismatches(step.expected, outcome, got)
    screen.outcome(step, outcome, got, wrong)
    if step.trouble is not None:
        stage.mend(step.trouble)
    stage.check()
    return bool(wrong)


def _verdict(screen: Screen, wrong: int) -> int:
    screen.say()
    if wrong:
        screen.say(f"{wrong} of {TOTAL} steps did not go as they must.", style="bold red")
        return FAILED
    screen.say(f"All {TOTAL} steps went as they must.", style="bold")
    return FINE


def _stay(screen: Screen, stage: Stage) -> None:
    """Watch the programs until Ctrl-C, which is the proper end of it."""
    try:
        while True:
            stage.check()
            time.sleep(WATCH)
    except KeyboardInterrupt:
        screen.say()
        screen.say("stopping")
