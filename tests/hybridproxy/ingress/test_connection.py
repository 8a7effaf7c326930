"""One connection of a caller over real sockets: each rule about framing, keeping and closing that callers rely on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from hybridproxy.ingress import connection
from hybridproxy.ingress.connection import Connection, Request, Seen, Server
from hybridproxy.ingress.early import plain_call

Handler = Callable[[Request], Awaitable[None]]
Start = Callable[..., Awaitable["Client"]]

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


class Client:
    """The caller's end, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        self.reader = reader
        self.writer = writer
        self._server = server

    def send(self, data: bytes) -> None:
        """Send exactly this."""
        self.writer.write(data)

    async def answer(self) -> tuple[bytes, bytes]:
        """Read one answer with a length: head in lower case, and body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).lower()
        return head, await self.reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), 60)

    async def half_heard(self) -> None:
        """Wait until the server has read some of a request whose rest was not sent yet."""
        async with asyncio.timeout(60):
            while all(one._at_start for one in self._server.connections if isinstance(one, Connection)):
                await asyncio.sleep(0.001)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a server with a handler and connects to it."""
    opened: list[tuple[asyncio.Server, Server, Client]] = []

    async def run(handler: Handler, **options: Any) -> Client:
        server = Server(handler, **options)
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection(*listening.sockets[0].getsockname()), server)
        opened.append((listening, server, client))
        return client

    yield run
    for listening, server, client in opened:
        listening.close()
        client.writer.close()
        await server.shutdown(0.1)


async def echo(request: Request) -> None:
    """Answer with the method, target and body."""
    body = await request.content.read()
    request.reply(200, {"x-a": "b"}, f"{request.method} {request.target} ".encode() + body)


async def test_a_connection_is_used_again(start: Start) -> None:
    """Requests one after the other, with and without bodies, each get their own answer on one connection."""
    client = await start(echo)
    for data, body in (
        (GET, b"GET /a "),
        (b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi", b"POST /b hi"),
        (b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n", b"POST /c ho"),
    ):
        client.send(data)
        head, got = await client.answer()
        assert got == body
        assert head.startswith(b"http/1.1 200 ok\r\n")
        assert b"x-a: b\r\n" in head
        assert b"server: hybridproxy\r\n" in head
        assert b"\r\ndate: " in head
        assert b"connection: close" not in head


async def test_requests_sent_ahead_are_answered_in_order(start: Start) -> None:
    """A caller that pipelines gets its answers in the order of its requests."""
    client = await start(echo)
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(20)))
    assert [(await client.answer())[1] for _ in range(20)] == [b"GET /%d " % n for n in range(20)]


async def test_head_has_the_length_and_no_body(start: Start) -> None:
    """HEAD is answered like GET but for the body, and the connection stays in step."""
    client = await start(echo)
    client.send(GET.replace(b"GET", b"HEAD") + GET)
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b"content-length: 8\r\n" in head
    assert (await client.answer())[1] == b"GET /a "


@pytest.mark.parametrize("who", ["caller", "handler"])
async def test_a_last_answer_says_so_and_closes(start: Start, who: str) -> None:
    """Whoever wants the end, the answer announces it, and nothing behind it is answered."""
    seen = []

    async def handler(request: Request) -> None:
        seen.append(request.target)
        request.close = request.close or who == "handler"
        request.reply(200, {}, b"bye")

    client = await start(handler)
    client.send(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") if who == "caller" else GET + GET)
    head, body = await client.answer()
    assert b"connection: close\r\n" in head
    assert (body, await client.rest(), seen) == (b"bye", b"", ["/a"])


async def test_a_stream_is_chunked_and_ends_once(start: Start) -> None:
    """The head waits for the first chunk, the end is marked once, and the connection is good for another request."""

    async def handler(request: Request) -> None:
        request.open({"content-type": "text/event-stream"})
        request.write(b"one")
        request.write(b"two!")
        request.end(b"last")

    client = await start(handler)
    for _ in range(2):
        client.send(GET)
        head = (await client.reader.readuntil(b"\r\n\r\n")).lower()
        assert b"transfer-encoding: chunked\r\n" in head
        assert b"content-length" not in head
        body = b"3\r\none\r\n4\r\ntwo!\r\n4\r\nlast\r\n0\r\n\r\n"
        assert await client.reader.readexactly(len(body)) == body


async def test_a_stream_of_one_piece(start: Start) -> None:
    """A stream that ends with its first data is whole, head included."""

    async def handler(request: Request) -> None:
        request.open({})
        request.end(b"all")

    client = await start(handler)
    client.send(GET)
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await client.reader.readexactly(13) == b"3\r\nall\r\n0\r\n\r\n"


async def test_a_stream_whose_end_says_nothing_is_marked_once(start: Start) -> None:
    """An empty chunk would be the mark of the end already, and what follows it the answer to the next request."""

    async def handler(request: Request) -> None:
        request.open({})
        request.write(b"all")
        request.end(b"")

    client = await start(handler)
    for _ in range(2):
        client.send(GET)
        await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(13) == b"3\r\nall\r\n0\r\n\r\n"


async def test_a_cut_stream_has_no_end(start: Start) -> None:
    """What was written arrives, then the connection ends without the mark of a whole body; a request behind it dies."""
    seen = []

    async def handler(request: Request) -> None:
        seen.append(request.target)
        request.open({})
        request.write(b"part")
        request.cut()

    client = await start(handler)
    client.send(GET + GET)
    await client.reader.readuntil(b"\r\n\r\n")
    assert await client.rest() == b"4\r\npart\r\n"
    assert seen == ["/a"]


async def test_the_answer_outruns_a_body_nobody_reads(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that is refused in the middle of a large body gets to read why, and the connection ends."""
    monkeypatch.setattr(connection, "LINGER", 60.0)  # this caller may be slow

    async def handler(request: Request) -> None:
        request.close = True
        request.reply(413, {}, b"too large")

    client = await start(handler)
    client.send(b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 300_000)
    head, body = await client.answer()
    assert head.startswith(b"http/1.1 413 ")
    assert body == b"too large"
    client.send(b"x" * 2_700_000)
    assert await client.rest() == b""


async def test_a_body_that_never_comes_does_not_hold_the_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the refusal the rest is awaited for a moment only; what then comes is no request."""
    monkeypatch.setattr(connection, "LINGER", 0.05)
    seen = []

    async def handler(request: Request) -> None:
        seen.append(request.target)
        request.reply(200, {}, b"")

    client = await start(handler)
    client.send(b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
    await client.answer()
    assert await client.rest() == b""
    assert seen == ["/b"]


async def test_100_continue_comes_when_asked_for(start: Start) -> None:
    """`go_on` tells the caller to send its body, before the answer."""

    async def handler(request: Request) -> None:
        request.go_on()
        request.reply(200, {}, await request.content.read())

    client = await start(handler)
    client.send(b"POST /b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hi")
    assert (await client.answer())[1] == b"hi"


async def test_what_is_no_http_is_400_in_our_words(start: Start) -> None:
    """Broken bytes are answered as JSON that quotes nothing, and the connection ends; what came before was served."""
    client = await start(echo)
    client.send(GET)
    assert (await client.answer())[1] == b"GET /a "
    client.send(b"<script>alert(1)</script>\r\n\r\n")
    head, body = await client.answer()
    assert head.startswith(b"http/1.1 400 ")
    assert b"connection: close\r\n" in head
    assert b'"code":"bad_request"' in body
    assert b"script" not in body
    assert await client.rest() == b""


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\nb", "a\rb"])
async def test_a_header_cannot_break_its_line(start: Start, value: str) -> None:
    """A header with a line end in it is an error here and never a second header there."""
    raised = []

    async def handler(request: Request) -> None:
        try:
            request.reply(200, {"x-a": value}, b"")
        except ValueError as error:
            raised.append(str(error))
        request.reply(500, {}, b"")

    client = await start(handler)
    client.send(GET)
    head, _ = await client.answer()
    assert head.startswith(b"http/1.1 500 ")
    assert raised == ["a header would break its line"]


async def test_the_caller_leaving_cancels_the_handler(start: Start) -> None:
    """A handler at work for a caller that hangs up is cancelled at once."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    client = await start(handler)
    client.send(GET)
    await asyncio.wait_for(began.wait(), 30)
    client.writer.close()
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_a_caller_that_does_not_read_is_noticed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the high-water mark the stream is congested; it is drained when the caller reads, and given up if not."""
    monkeypatch.setattr(connection, "STALL", 0.2)
    outcome: list[bool] = []
    over = asyncio.Event()

    async def handler(request: Request) -> None:
        request.open({})
        while not request.write(b"x" * 65536):
            pass
        outcome.append(await request.drained())
        request.cut()
        over.set()

    client = await start(handler)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined] # it reads too
    client.send(GET)
    await asyncio.wait_for(over.wait(), 30)
    monkeypatch.setattr(connection, "STALL", 60.0)
    reader = await start(handler)
    over.clear()
    reader.send(GET)
    while not over.is_set():
        await asyncio.wait_for(reader.reader.read(1 << 20), 30)
    assert outcome == [False, True]


async def test_an_idle_connection_is_closed(start: Start) -> None:
    """A caller that asks nothing more loses its connection after `keepalive_timeout`."""
    client = await start(echo, keepalive_timeout=0.1)
    client.send(GET)
    await client.answer()
    assert await client.rest() == b""


# ---- calls that are refused before they are parsed -------------------------------------------------------------------

CALL = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"


class Guard:
    """A gate that refuses what the test says."""

    def __init__(self) -> None:
        self.engaged = True
        self.refusing = True
        self.asked = 0

    def seen(self, data: bytes) -> Seen | None:
        return plain_call(data)

    def answer(self, seen: Seen) -> bytes | None:
        self.asked += 1
        return REFUSAL if self.refusing else None


async def whether_let_in(request: Request) -> None:
    """Answer with whether it was asked before it was parsed."""
    body = await request.content.read()
    request.reply(200, {}, f"{request.target} {request.let_in} ".encode() + body)


async def test_a_refused_call_is_never_parsed_and_the_connection_stays(start: Start) -> None:
    """Refused ones and served ones follow each other on one connection, in step."""
    guard = Guard()
    client = await start(whether_let_in, gate=guard)
    for refusing in (True, True, False, False, True, False):
        guard.refusing = refusing
        client.send(CALL)
        head, body = await client.answer()
        assert head.startswith(b"http/1.1 503 " if refusing else b"http/1.1 200 ")
        assert body == (b"no" if refusing else b"/v1/chat/completions True {}")
    assert guard.asked == 6


async def test_a_gate_that_is_not_engaged_is_not_asked(start: Start) -> None:
    """Where nothing is to be refused nothing is looked at."""
    guard = Guard()
    guard.engaged = False
    client = await start(whether_let_in, gate=guard)
    client.send(CALL)
    assert (await client.answer())[1] == b"/v1/chat/completions False {}"
    assert guard.asked == 0


async def test_what_was_parsed_while_nothing_was_refused_might_not_have_ended(start: Start) -> None:
    """A connection with a past proves by one whole request that its parser waits for the next one; then it is asked.

    Before that the bytes of a call might be the rest of a request that began long ago.
    """
    guard = Guard()
    guard.engaged = False
    client = await start(whether_let_in, gate=guard)
    client.send(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nPOST /v1/messages HTTP/1.1\r\nhost: x\r\nx-y: ")
    assert (await client.answer())[1] == b"/a False "
    guard.engaged = True
    client.send(CALL.replace(b"host: x\r\n", b""))
    assert (await client.answer())[1] == b"/v1/messages False {}"  # it was the rest
    assert guard.asked == 0
    client.send(CALL)
    assert (await client.answer())[1] == b"no"


async def test_half_a_head_is_finished_by_the_parser(start: Start) -> None:
    """Also where the second half looks like a call by itself."""
    guard = Guard()
    client = await start(whether_let_in, gate=guard)
    client.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-y: ")
    await client.half_heard()
    client.send(CALL.replace(b"host: x\r\n", b""))
    assert (await client.answer())[1] == b"/v1/messages False {}"
    assert guard.asked == 0


async def test_a_body_is_no_call(start: Start) -> None:
    """Bytes of a body that look like one belong to the body."""
    guard = Guard()
    client = await start(whether_let_in, gate=guard)
    client.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(CALL))
    await client.half_heard()
    client.send(CALL)
    assert (await client.answer())[1] == b"/v1/messages False " + CALL
    assert guard.asked == 0


async def test_requests_sent_ahead_are_left_to_the_parser(start: Start) -> None:
    """Two at once, or one while another is answered, are parsed in order."""
    guard = Guard()
    client = await start(whether_let_in, gate=guard)
    client.send(CALL + CALL)
    assert [(await client.answer())[1] for _ in range(2)] == [b"/v1/chat/completions False {}"] * 2
    assert guard.asked == 0


async def test_a_caller_that_closes_gets_its_refusal_first(start: Start) -> None:
    """With `connection: close` the connection ends after the answer."""
    client = await start(whether_let_in, gate=Guard())
    client.send(CALL.replace(b"host: x", b"connection: close"))
    assert await client.rest() == REFUSAL
