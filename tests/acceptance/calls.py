"""A call: what is asked, and what became of it, as its caller saw it."""

import enum
import functools
from dataclasses import dataclass

import orjson


class Outcome(enum.Enum):
    """What became of a call, as its caller saw it."""

    ANSWERED = "answered"
    FAILED = "failed"  # an error status with its body
    BROKEN = "broken"  # a stream that ended with an error event, and without its terminal marker
    CUT = "cut"  # an answer that ended with neither
    UNREACHABLE = "unreachable"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to make."""

    key: str
    replica: int = 0
    stream: bool = False
    model: str = "qwen"
    prompt: str = "hello there"
    headers: tuple[tuple[str, str], ...] = ()
    most: int = 0  # tokens of the answer; 0: it does not say


@dataclass(slots=True)
class Call:
    """One call: when it was due, on the loop's clock, and what became of it."""

    number: int
    ask: Ask
    due: float
    sent: float = 0.0
    outcome: Outcome = Outcome.LOST
    status: int = 0
    code: str = ""
    id: str = ""
    backend: str = ""
    attempts: int = 0
    retry_after: str = ""
    first: float | None = None  # to the first byte of the body
    took: float | None = None
    done: bool = False  # a stream's terminal marker was there
    whole: bool = False  # the text is the one that was expected
    text: str = ""

    @property
    def bad(self) -> bool:
        """Whether the caller did not get what it asked for."""
        return self.outcome is not Outcome.ANSWERED or not self.whole


@functools.lru_cache(maxsize=4096)
def request_of(ask: Ask, host: str) -> bytes:
    """Return the bytes of a call."""
    body: dict[str, object] = {"model": ask.model, "messages": [{"role": "user", "content": ask.prompt}]}
    body |= {"max_tokens": ask.most} if ask.most else {}
    data = orjson.dumps(body | ({"stream": True} if ask.stream else {}))
    head = {
        "host": host,
        "authorization": f"Bearer {ask.key}",
        "content-type": "application/json",
        "content-length": str(len(data)),
        **dict(ask.headers),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + data


def read_answer(call: Call, body: bytes) -> None:
    """Judge a whole answer or an error."""
    try:
        said = orjson.loads(body)
        if call.status == 200:
            call.text = said["choices"][0]["message"]["content"]
            call.outcome = Outcome.ANSWERED
        else:
            call.code = str(said["error"]["code"])
            call.outcome = Outcome.FAILED
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        call.outcome = Outcome.CUT


def read_stream(call: Call, body: bytes, *, clean: bool) -> None:
    """Judge a stream by its events."""
    text: list[str] = []
    for event in body.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        if data is event:  # a comment, or nothing
            continue
        if data == b"[DONE]":
            call.done = True
            continue
        try:
            said = orjson.loads(data)
        except orjson.JSONDecodeError:
            call.outcome = Outcome.CUT
            return
        if said.get("error"):
            call.code = str(said["error"]["code"])
        text += [choice["delta"].get("content") or "" for choice in said.get("choices") or ()]
    call.text = "".join(text)
    if call.code and not call.done and not clean:
        call.outcome = Outcome.BROKEN
    else:
        call.outcome = Outcome.ANSWERED if clean and call.done and not call.code else Outcome.CUT
