"""The demo as a newcomer runs it: a program on the command line, with real processes and real sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hybridproxy.demo.interrupts import Interrupts
from hybridproxy.demo.outcome import Expected, Outcome, mismatches
from hybridproxy.demo.ports import DEFAULTS, UPSTREAMS, Ports, choose
from hybridproxy.demo.problem import ChildError, DemoError
from hybridproxy.demo.processes import Child, Processes
from hybridproxy.demo.run import Options, run
from hybridproxy.demo.screen import Screen, printable
from hybridproxy.demo.tour import STEPS
from hybridproxy.demo.workspace import source_file, with_ports

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hybridproxy", "demo"]
ANY_PORTS = ["--port", "0", "--sim-port", "0"]
PROBES = 3
READY = "It stays up until Ctrl-C"
PROCESSES = re.compile(r"^processes\s+upstreams (\d+), dashscope-sg (\d+), vpc (\d+), proxy (\d+)$", re.MULTILINE)
SECOND = re.compile(
    r"^ +\d+ s  dashscope-sg +(?P<sg>\d+)  openrouter-us +(?P<us>\d+)  failed (?P<failed>\d+)"
    r"  resumed +(?P<resumed>\d+)  (?P<phase>[a-z-]+)(?:, ramp .*)?$",
    re.MULTILINE,
)
WHOLE_TOUR = pytest.mark.timeout(900)
"""Half a minute, most of it the outage in which Singapore is watched going and coming back."""


def newcomers_environment(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has set nothing, or rather things that must not matter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYBRIDPROXY", "OPENAI"))}
    unreachable = "http://127.0.0.1:9"
    return kept | {"HTTP_PROXY": unreachable, "ALL_PROXY": unreachable, "TMPDIR": str(folder), "COLUMNS": "100"}


def outage_in(screen: str) -> tuple[list[tuple[int, int]], ...]:
    """Return what the log of the outage says: calls at Singapore and elsewhere in each second before, in and after it.

    No call failed in any of them.
    """
    rows = list(SECOND.finditer(screen))
    assert [row["failed"] for row in rows] == ["0"] * len(rows)
    assert int(rows[-1]["resumed"]) > 0
    calls = [(int(row["sg"]), int(row["us"])) for row in rows]
    first = next(n for n, row in enumerate(rows) if row["phase"] != "closed")
    last = max(n for n, row in enumerate(rows) if row["phase"] != "closed")
    return calls[:first], calls[first:last], calls[last + 1 :]


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the demo with its output in a file; it is ended by its id whatever the test does."""
    out = folder / "screen.txt"
    with out.open("w") as screen:
        demo = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, env=newcomers_environment(folder), stdout=screen, stderr=subprocess.STDOUT
        )
    try:
        yield demo, out
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)


def wait_for(text: str, out: Path, demo: subprocess.Popen[bytes]) -> str:
    """Return what is on the screen once a text has appeared."""
    deadline = time.monotonic() + 240
    while text not in (shown := out.read_text()):
        assert demo.poll() is None, f"ended with {demo.returncode} before {text!r}:\n{shown}"
        assert time.monotonic() < deadline, f"no {text!r} in:\n{shown}"
        time.sleep(0.02)
    return shown


def alive(pid: int) -> bool:
    """Return whether there is a process with an id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids_in(screen: str) -> list[int]:
    """Return the ids of the demo's processes as the screen tells them."""
    found = PROCESSES.search(screen)
    assert found is not None, screen
    return [int(pid) for pid in found.groups()]


@WHOLE_TOUR
def test_the_tour_goes_as_promised_and_the_printed_lines_work_until_ctrl_c(tmp_path: Path) -> None:
    """A newcomer with a proxy in the environment and no colours sees all ten steps succeed.

    What is printed then can be pasted into another shell as it stands. Ctrl-C ends every process by its id, and nothing
    is left behind.
    """
    for again in (True, True, False):
        with running(tmp_path, *ANY_PORTS) as (demo, out):
            screen = wait_for("proxy.log", out, demo)
            if again and came_late(screen):
                continue
            judge_tour(screen)
            judge_what_stays(screen, demo, out, tmp_path)
            break
    assert list(tmp_path.glob("hybridproxy-demo-*")) == []


def came_late(screen: str) -> bool:
    """Return whether all that went wrong in a tour is that something came late: it is live, and a machine may stand."""
    wrong = re.findall(r"^WRONG +(.*)", screen, re.MULTILINE)
    return bool(wrong) and all(line.startswith(("calls moved: ", "calls at ", "the ramp's first ")) for line in wrong)


def judge_what_stays(screen: str, demo: subprocess.Popen[bytes], out: Path, folder: Path) -> None:
    """Paste what was printed into another shell, and end the demo."""
    pasted = screen.partition(READY)[2].split("\n", 1)[1]
    blocks = [block for block in pasted.split("\n# ") if "EDITOR" not in block]
    assert len(blocks) > 7
    done = subprocess.run(
        ["sh", "-eu"],
        input="\n# ".join(blocks),
        cwd=ROOT,
        env=newcomers_environment(folder) | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "TARGET OF",
        "x-hybridproxy-backend: dashscope-sg",
        "x-hybridproxy-backend: vpc",
        "Hello from together-us",
        "region north-america",
        "region    asia",
        '"kind":"status"',
        "hybridproxy_calls_total{",
        '"event":"call.finished"',
    ):
        assert line in done.stdout
    pids = pids_in(screen)
    # Singapore and the VPC's engine were started anew during the tour, so their ids are others by now
    pids += [int(pid) for pid in Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()]
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert [pid for pid in pids if alive(pid)] == []
    assert "Traceback" not in out.read_text()


def judge_tour(screen: str) -> None:
    """Check what the tour showed."""
    assert "\x1b" not in screen
    for line in (
        "200 from dashscope-sg, region asia, attempts 1",
        "200 from together-us, region north-america, attempts 1",
        "200 from openrouter-us, region north-america, attempts 2",
        "200 from vpc, region asia, attempts 1",
        "503 from vpc, region europe, attempts 2",
        "403 from the proxy itself, region china, attempts 0",
        "upstream_cut",
        "outside the VPC; the call is sovereign",
        "9/10  Singapore is cut off, and comes back",
        "Singapore is cut off: connections break, new ones are refused.",
        "breaker   open: 5 faults in a row: it could not be reached",
        "Singapore is back.",
        "A check reached it, three calls as probes were good.",
        "It comes back by a ramp:",
        "every text whole",
        "10/10  What these calls cost",
        "All 10 steps went as they must.",
    ):
        assert line in screen
    assert screen.count("200 from openrouter-us") == 2
    assert "Hello from dashscope-sg" in screen
    healthy, out, back = outage_in(screen)
    assert healthy
    assert sum(sg for sg, _ in healthy[:-1]) > 0 == sum(us for _, us in healthy[:-1])
    assert sum(sg for sg, _ in out[2:]) <= PROBES
    assert back[0][0] < 10 < back[-1][0] + back[-2][0] + back[-3][0]


def test_it_ends_after_the_tour_where_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --no-wait the status says that a step went wrong, nothing is left running, and stderr stays empty.

    Two steps of the tour are enough for that, of which one expects another region than it gets.
    """
    wrong = replace(STEPS[0], expected=replace(STEPS[0].expected, region="europe"))
    monkeypatch.setattr("hybridproxy.demo.run.STEPS", [wrong, STEPS[5]])
    monkeypatch.setattr("hybridproxy.demo.run.outage", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in newcomers_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    status = run(Options(wait=False, port=0, sim_port=0), Screen())
    screen, errors = capsys.readouterr()
    assert status == 1
    assert "region: expected europe, got asia" in screen
    assert "1 of 10 steps did not go as they must." in screen
    assert errors == ""
    assert [pid for pid in pids_in(screen) if alive(pid)] == []
    assert list(tmp_path.glob("hybridproxy-demo-*")) == []


@pytest.mark.parametrize("moment", ["Starting", "3/10", "open: 5 faults in a row"])
def test_ctrl_c_ends_the_demo_at_any_moment(tmp_path: Path, moment: str) -> None:
    """Ctrl-C while programs start, in the tour or in the outage ends with 130, no traceback and no process left."""
    with running(tmp_path, "--no-wait", *ANY_PORTS) as (demo, out):
        wait_for(moment, out, demo)
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        demo.send_signal(signal.SIGINT)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        assert [pid for pid in children if alive(int(pid))] == []
        assert "Traceback" not in out.read_text()
    assert list(tmp_path.glob("hybridproxy-demo-*")) == []


def test_a_taken_port_is_told_with_the_flag_that_moves_it(tmp_path: Path) -> None:
    """Somebody else's server on a port of the demo: the message names port and flag, and nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--no-wait", "--port", str(port), "--sim-port", "0"],
            cwd=ROOT,
            env=newcomers_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 2
    assert f"port {port} (the data port) is taken: choose another with --port" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert list(tmp_path.glob("hybridproxy-demo-*")) == []


def test_every_taken_port_is_named_at_once() -> None:
    """Whoever has two clashes learns of both in one go."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = (one.getsockname()[1], two.getsockname()[1])
        with pytest.raises(DemoError) as told:
            choose(*ports)
    assert all(f"port {port} " in str(told.value) for port in ports)
    assert "--sim-port" in str(told.value)


def test_a_number_that_is_no_port_is_told() -> None:
    """65535 is a port, but the admin port after it is none."""
    with pytest.raises(DemoError, match=r"port 65536 .* is not a port"):
        choose(65535, 0)


def test_any_free_port_is_one_that_no_connection_gets_meanwhile() -> None:
    """Between being found and being listened on it is nobody's: no connection to elsewhere has it as its own."""
    assert all(port < 32_000 for port in choose(0, 0).all)


def test_the_configuration_moves_with_the_ports() -> None:
    """Every port in deploy/demo.yaml is exchanged for the chosen one, and nothing else changes."""
    text = source_file().read_text()
    moved = with_ports(text, Ports(1, 2, dict(zip(UPSTREAMS, (3, 4, 5, 6), strict=True))))
    assert [port for port in DEFAULTS.all if str(port) in moved] == []
    assert "port: 1\n" in moved
    assert 'endpoints: ["http://127.0.0.1:6"]' in moved
    assert with_ports(text, DEFAULTS) == text


def test_a_program_that_dies_early_is_quoted(tmp_path: Path) -> None:
    """A child that cannot work ends the wait at once, with its status and its own last words."""
    with Interrupts() as interrupts:
        processes = Processes(interrupts)
        script = "import sys; print('reading'); sys.exit('the disk is full')"
        child = Child("proxy", [sys.executable, "-c", script], os.environ, tmp_path / "log")
        processes.start(child)
        with pytest.raises(ChildError) as told:
            processes.wait_ready(child, lambda: False, 20)
        processes.stop()
    assert str(told.value).startswith("proxy ended with status 1.")
    assert "the disk is full" in str(told.value)


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not end when asked is killed after the grace, and only then is it forgotten."""
    monkeypatch.setattr("hybridproxy.demo.processes.GRACE", 0.2)
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = Child("deaf", [sys.executable, "-c", script], os.environ, tmp_path / "log")
    with Interrupts() as interrupts:
        processes = Processes(interrupts)
        processes.start(child)
        processes.wait_ready(child, lambda: "deaf" in (tmp_path / "log").read_text(), 20)
        pid = child.pid
        assert pid is not None
        processes.stop()
    assert not alive(pid)
    assert processes.running == ()


def test_a_program_that_is_killed_is_gone_at_once_and_can_be_started_again(tmp_path: Path) -> None:
    """It is neither asked nor watched any more, so its end is no failure; a new process takes its place."""
    child = Child("singapore", [sys.executable, "-c", "import signal; signal.pause()"], os.environ, tmp_path / "log")
    with Interrupts() as interrupts:
        processes = Processes(interrupts)
        processes.start(child)
        first = child.pid
        assert first is not None
        processes.kill(child)
        processes.check()
        assert (alive(first), child.pid, processes.running) == (False, None, ())
        processes.start(child)
        assert child.pid not in {None, first}
        assert processes.running == (child,)
        processes.stop()


def test_an_interruption_waits_until_a_started_child_is_known() -> None:
    """Ctrl-C between the start of a process and the note of its id is put off, comes once, and never again."""
    noted = []

    def start(interrupts: Interrupts) -> None:
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            noted.append("the child's id")

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            start(interrupts)
        os.kill(os.getpid(), signal.SIGTERM)  # tidying up is not disturbed by an impatient second one
    assert noted


def test_the_tour_notices_when_a_promise_is_broken() -> None:
    """A bank's call answered by a third party is reported in every respect in which it is wrong."""
    outcome = Outcome(200, "Hello", complete=True, headers={"x-hybridproxy-backend": "together-us"})
    wrong = mismatches(Expected(region="asia", backend="vpc", asked={"vpc": 1}), outcome, {"vpc": 0, "together-us": 1})
    assert wrong == [
        "region: expected asia, got ?",
        "backend: expected vpc, got together-us",
        "attempts: expected 1, got ?",
        "requests that vpc got: expected 1, got 0",
        "requests that together-us got: expected 0, got 1",
        "the decision is missing from the response",
    ]


def test_what_an_upstream_sends_cannot_steer_the_terminal() -> None:
    """Escape sequences in an answer or an error lose what makes them work; letters of any script stay."""
    assert printable("\x1b[2J\x1b]0;owned\x07héllo 你好\r\n") == "[2J]0;ownedhéllo 你好\n"
