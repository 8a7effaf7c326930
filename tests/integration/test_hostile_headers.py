"""Where a caller claims to be, and what it can put into headers and logs: every word of it stays a word."""

import orjson

from tests.support.inside import change, finished
from tests.support.raw_calls import GOOD, call, head, raw, statuses
from tests.support.stack import BEIJING, SINGAPORE, TORONTO, Stack, chat

SPOOFS = (
    [BEIJING], ["10.0.0.1"], ["127.0.0.1"], ["::1"], ["unknown"], ["_hidden"], [""], [","], [", ,"], ["a" * 5000],
    [BEIJING, BEIJING], ["for=114.114.114.114"], ['"'], ['"114.114.114.114'], ["[::ffff:114.114.114.114]:1"],
    ["114.114.114.114\t"], ["0x72727272"], ["1920103026"], ["114.114.114.114/8"], ["114.114.114.114%eth0"],
    ["\xff\xfe"], ["127.0.0.1," * 100], ["127.0.0.1, " * 20], ["2001:db8::1"], ["999.1.1.1"], ["-1"], [f"{BEIJING}, x"],
)  # fmt: skip


async def test_no_forged_hop_moves_a_caller(stack: Stack) -> None:
    """H8: only the element that our own proxy appended counts; other headers that name an address count for nothing."""
    others = [
        f"{name}: {BEIJING}"
        for name in ("x-real-ip", "forwarded-for", "cf-connecting-ip", "true-client-ip", "x_forwarded_for")
    ]
    others.append("forwarded: for=114.114.114.114")
    for spoof in SPOOFS:
        for true, region in ((TORONTO, "north-america"), (SINGAPORE, "asia")):
            one_line = [f"x-forwarded-for: {', '.join([*spoof, true])}"]
            two_lines = [*(f"X-Forwarded-For: {part}" for part in spoof), f"x-forwarded-for: {true}"]
            for lines in (one_line, two_lines):
                data = head(f"content-length: {len(GOOD)}", *others, "connection: close", hops=lines) + GOOD
                came = await raw(stack, data)
                assert statuses(came) == [200], (lines, came[:300])
                assert f"x-hybridproxy-region: {region}\r\n".encode() in came, lines
    assert BEIJING not in str(await stack.lines())


async def test_sixty_backends_with_long_names_fit_into_bounded_headers(stack: Stack) -> None:
    """The decision stays below 2 KB and valid, and an error's body stays small, however large the configuration is."""
    names = [f"b{n:02d}-" + "n" * 60 for n in range(60)]
    url = stack.sim("together").base_url
    rows = "".join(f'  {name}: {{provider: together, api_key: "${{TOGETHER}}", base_url: "{url}"}}\n' for name in names)
    served = ", ".join(f"{name}: {'m' * 190}" for name in names)
    tenant = "t" * 128
    await change(
        stack,
        ("models:\n  qwen:", f"{rows}models:\n  {'w' * 128}: {{family: qwen3, served_by: {{{served}}}}}\n  qwen:"),
        ("north-america: [together-us, openrouter-us, dashscope-sg]", f"north-america: [{', '.join(names)}]"),
        ("  shop: ", f"  {tenant}: "),
    )
    explained = {"x-hybridproxy-explain": "1"}
    async with stack.post(json=chat(model="w" * 128), headers=explained) as response:
        assert response.status == 200
        decision = response.headers["x-hybridproxy-decision"]
        assert len(str(response.headers)) < 4096
    assert len(decision) <= 2048
    parsed = orjson.loads(decision)
    assert parsed["truncated"] + len(parsed["candidates"]) == 60
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503, "message": "m" * 5000}})
    async with stack.post(json=chat(model="w" * 128), headers=explained) as response:
        assert response.status == 503
        assert len(await response.read()) < 16_384
        assert len(str(response.headers)) < 4096
    async with stack.post(json=chat(model="qwen"), headers=explained) as response:
        assert response.status == 400
        assert len(await response.read()) < 16_384


async def test_nothing_of_a_caller_breaks_a_header_or_a_log_line(stack: Stack) -> None:
    """S6: names and ids with line breaks, escapes and JSON in them: every log line is one JSON object, one a call."""
    bad = (
        "a\r\nx-evil: 1",
        "a\x1b[31mb",
        'a"},{"event":"x"',
        "a\u2028b",
        "\x00",
        "\ud800",
        "é" * 128,
        "a" * 10_000,
        "../../etc",
        "${X}",
    )
    count = 0
    for text in bad:
        body = orjson.dumps(chat()).replace(b'"qwen"', orjson.dumps(text.encode("utf-8", "replace").decode()))
        for data in (
            call(body, "connection: close"),
            call(
                GOOD,
                "connection: close",
                "x-request-id: " + text.encode("utf-8", "replace").decode("latin-1").replace("\r\n", "\t")[:8000],
            ),
            head(
                "content-length: 2",
                "connection: close",
                key=text.encode("utf-8", "replace").decode("latin-1").replace("\r\n", "")[:8000],
            )
            + b"{}",
        ):
            came = await raw(stack, data)
            assert len(statuses(came)) == 1
            assert b"x-evil" not in came.partition(b"\r\n\r\n")[0]
            count += b"x-request-id: req_" in came
    lines = await stack.lines()
    raw_lines = stack.log.read_bytes().splitlines()
    assert len(raw_lines) == len(lines)
    assert all(type(line) is dict and len(text) < 4096 for line, text in zip(lines, raw_lines, strict=True))
    assert not any(byte < 32 for text in raw_lines for byte in text)
    assert len(await finished(stack)) == count
