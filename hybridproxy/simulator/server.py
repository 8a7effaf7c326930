"""Start simulated upstreams, in this process (`serve`) or as a program (`main`)."""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from hybridproxy.simulator.behaviour import parse_behaviour
from hybridproxy.simulator.calls import Upstream, answer_call
from hybridproxy.simulator.control import PREFIX, control, set_behaviour
from hybridproxy.simulator.http import Connection, Ending, Exchange
from hybridproxy.simulator.rows import PROVIDERS

HELP: Final = f"""\
Usage: python -m hybridproxy.simulator [--host HOST] [NAME=]PROVIDER[:PORT] ...

Imitate LLM upstreams on the wire, with faults that can be switched on while they run.

  PROVIDER   {", ".join(PROVIDERS)}
  PORT       the port to listen on; 0 or none means any free one
  NAME       what to call it, where one provider is imitated twice
  --host     the address to listen on (default 127.0.0.1; keep it private, the control address asks for no key)

Example:
  python -m hybridproxy.simulator dashscope:9101 us-a=together:9102 openrouter:9103 vllm:9104
  curl -X PUT http://127.0.0.1:9102/_sim/behaviour -d '{{"fault": {{"kind": "status", "status": 503}}}}'
"""


class SimulatorError(Exception):
    """The simulators cannot be started as asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class SimulatorSpec:
    """One upstream to imitate: a provider, a port (0: any), a name (empty: the provider's)."""

    provider: str
    port: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RunningSimulator:
    """One listening simulator."""

    name: str
    provider: str
    host: str
    port: int
    upstream: Upstream
    server: asyncio.Server

    @property
    def url(self) -> str:
        """The address without a path, for the control address and for health checks."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The address with the provider's path: the `base_url` of a backend."""
        return self.url + self.upstream.row.prefix

    def behave(self, settings: Mapping[str, object]) -> None:
        """Replace the settings, as PUT does.

        Raises:
            BehaviourError: with every mistake in them.
        """
        set_behaviour(self.upstream, parse_behaviour(dict(settings)))


class RunningSimulators:
    """All simulators that one `serve` started, by name."""

    def __init__(self, simulators: Sequence[RunningSimulator]) -> None:
        """Keep them in their order."""
        self._by_name = {simulator.name: simulator for simulator in simulators}

    def __getitem__(self, name: str) -> RunningSimulator:
        """Return one by its name."""
        return self._by_name[name]

    @property
    def all(self) -> tuple[RunningSimulator, ...]:
        """Every simulator, in the order asked for."""
        return tuple(self._by_name.values())

    @property
    def ports(self) -> dict[str, int]:
        """The bound port of each name."""
        return {simulator.name: simulator.port for simulator in self.all}

    async def close(self) -> None:
        """Stop listening, drop every connection and wait for the calls under way to notice."""
        for simulator in self.all:
            simulator.server.close()
        for simulator in self.all:
            await asyncio.gather(*(connection.shut_down() for connection in list(simulator.upstream.connections)))
            await simulator.server.wait_closed()


async def serve(specs: Sequence[SimulatorSpec], host: str = "127.0.0.1") -> RunningSimulators:
    """Start simulators in the running event loop.

    Raises:
        SimulatorError: an unknown provider, a name used twice, or a port that cannot be had. Nothing is left listening.
    """
    names: set[str] = set()
    for spec in specs:
        if spec.provider not in PROVIDERS:
            message = f"unknown provider {spec.provider!r}; known are {', '.join(PROVIDERS)}"
            raise SimulatorError(message)
        name = spec.name or spec.provider
        if name in names:
            message = f"the name {name!r} is used twice; give one a name of its own, as in us-a={spec.provider}:9102"
            raise SimulatorError(message)
        names.add(name)
    started: list[RunningSimulator] = []
    for spec in specs:
        try:
            started.append(await _listen(spec, host))
        except OSError as error:
            await RunningSimulators(started).close()
            reason = error.strerror or error
            message = f"cannot listen on {host}:{spec.port} for {spec.provider}: {reason}; choose another port"
            raise SimulatorError(message) from error
    return RunningSimulators(started)


async def _listen(spec: SimulatorSpec, host: str) -> RunningSimulator:
    upstream = Upstream(spec.name or spec.provider, PROVIDERS[spec.provider])

    async def handle(exchange: Exchange) -> None:
        connection = exchange.connection
        connection.for_control = exchange.request.path.startswith(PREFIX)
        if connection.for_control:
            await control(upstream, exchange)
        else:
            await answer_call(upstream, exchange)

    def opened(connection: Connection) -> Ending | None:
        upstream.accepted += 1
        fault = upstream.switch.at_accept(monotonic())
        if fault is not None:
            upstream.refused += 1
            return "reset" if fault.how == "reset" else "close"
        upstream.connections.add(connection)
        return None

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handle, opened, upstream.connections.discard), host, spec.port, backlog=1024
    )
    port: int = server.sockets[0].getsockname()[1]
    return RunningSimulator(upstream.name, spec.provider, host, port, upstream, server)


def read_arguments(argv: Sequence[str]) -> tuple[list[SimulatorSpec], str]:
    """Read the command line: what to imitate, and the host.

    Raises:
        SimulatorError: with what is wrong.
    """
    specs: list[SimulatorSpec] = []
    host = "127.0.0.1"
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--host" or word.startswith("--host="):
            host = word.partition("=")[2] or (words.pop(0) if words else "")
            if not host:
                raise SimulatorError("--host needs an address")
        elif word.startswith("-"):
            message = f"unknown option {word!r}; see --help"
            raise SimulatorError(message)
        else:
            specs.append(read_spec(word))
    if not specs:
        raise SimulatorError("nothing to imitate; give at least one PROVIDER:PORT, see --help")
    return specs, host


def read_spec(text: str) -> SimulatorSpec:
    """Read one `[NAME=]PROVIDER[:PORT]`.

    Raises:
        SimulatorError: the port is none.
    """
    name, found, rest = text.rpartition("=")
    provider, _, port = rest.partition(":")
    if found and not name:
        message = f"{text!r} has an empty name; write NAME=PROVIDER:PORT"
        raise SimulatorError(message)
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        message = f"{port!r} in {text!r} is not a port"
        raise SimulatorError(message)
    return SimulatorSpec(provider, int(port or 0), name)


async def run(specs: Sequence[SimulatorSpec], host: str) -> None:
    """Serve until SIGINT or SIGTERM; one line for each simulator says that it is ready.

    Raises:
        SimulatorError: they cannot be started.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulators = await serve(specs, host)
    for simulator in simulators.all:
        sys.stdout.write(f"ready {simulator.name} {simulator.url}\n")
    sys.stdout.flush()
    await stop.wait()
    await simulators.close()


def main(argv: Sequence[str]) -> int:
    """Run as a program; return 0 after a clean stop, 2 where it cannot start."""
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(HELP)
        return 0
    try:
        specs, host = read_arguments(argv)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run(specs, host))
    except SimulatorError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed, else None for the standard one."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop
