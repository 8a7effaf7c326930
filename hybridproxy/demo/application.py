"""An application with many users: a steady stream of calls through the official client, in a thread of its own.

The terminal, the time line and Ctrl-C stay with the main thread, which reads `calls` while they run.
"""

import asyncio
import contextlib
import threading
import time
from typing import Final

from openai import APIError, AsyncOpenAI, DefaultAsyncHttpxClient

from hybridproxy.demo.judgement import Call
from hybridproxy.demo.ports import HOST

RATE: Final = 20
"""Calls a second."""

TIMEOUT: Final = 10.0
"""Seconds a call may take; it usually takes less than one."""


class Application:
    """Makes `RATE` streamed calls a second, each of which must bring the same whole text.

    Attributes:
        calls: every call so far, the oldest first; those at the end still run.

    """

    def __init__(self, port: int, key: str, address: str, model: str, question: str, text: str) -> None:
        """Prepare to call at a data port with a key, as if from an address, and to get `text` as the answer."""
        self.calls: list[Call] = []
        self._url = f"http://{HOST}:{port}/v1"
        self._key = key
        self._address = address
        self._model = model
        self._question = question
        self._text = text
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="application", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to call."""
        self._thread.start()

    def finish(self) -> None:
        """Make no new call; `running` tells when those under way are over."""
        self._enough.set()

    @property
    def running(self) -> bool:
        """Whether calls are made or under way."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End at once, with whatever is under way."""
        self._enough.set()
        if self._loop is not None and self._main is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._main.cancel)
        if self._thread.is_alive():
            self._thread.join(TIMEOUT)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._call_on())

    async def _call_on(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        # max_retries: what the proxy does not absorb counts as failed. trust_env: no HTTP_PROXY to this machine.
        client = AsyncOpenAI(
            base_url=self._url,
            api_key=self._key,
            max_retries=0,
            timeout=TIMEOUT,
            http_client=DefaultAsyncHttpxClient(trust_env=False),
        )
        async with client, asyncio.TaskGroup() as group:
            begun = time.monotonic()
            made = 0
            while not self._enough.is_set():
                group.create_task(self._call(client))
                made += 1
                await asyncio.sleep(max(0.0, begun + made / RATE - time.monotonic()))

    async def _call(self, client: AsyncOpenAI) -> None:
        call = Call(time.monotonic())
        self.calls.append(call)
        try:
            call.problem = await self._ask(client, call)
        except APIError as error:
            call.problem = error.message
        except Exception as error:  # noqa: BLE001 - whatever an application meets is a failed call
            call.problem = f"{type(error).__name__}: {error}"
        call.ended = time.monotonic()

    async def _ask(self, client: AsyncOpenAI, call: Call) -> str:
        """Make one call; return what is wrong with its text, "" where nothing is."""
        response = await client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": self._question}],
            stream=True,
            extra_headers={"x-forwarded-for": self._address},
        )
        call.attempts = int(response.headers.get("x-hybridproxy-attempts", "0"))
        call.backend = response.headers.get("x-hybridproxy-backend", "?")
        text: list[str] = []
        finished = False
        async for chunk in response.parse():
            for choice in chunk.choices:
                if choice.delta.content:
                    call.pieces.append(time.monotonic())
                    text.append(choice.delta.content)
                finished = finished or choice.finish_reason is not None
        got = "".join(text)
        if got != self._text:
            return f"the text is not the whole one: {got!r}"
        return "" if finished else "the answer came to no end"
