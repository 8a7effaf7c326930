import asyncio
from collections.abc import Callable
from pathlib import Path

from hybridproxy.demo.application import Application
from tests.support.stack import SHOP, SINGAPORE, Stack, chat, running

TEXT = "Whole, and in order: 请提前三十分钟到达!"


def application(stack: Stack) -> Application:
    """Return an application in Singapore that has to get `TEXT`."""
    return Application(stack.worker.port, SHOP, SINGAPORE, chat()["model"], "When?", TEXT)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the application's thread does."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_calls_are_made_steadily_and_told_as_their_caller_saw_them(tmp_path: Path) -> None:
    """Each has who answered, how often was tried, and when each piece came; those under way come to their end."""
    async with running(tmp_path) as stack:
        stack.sim("dashscope").behave({"text": TEXT})
        app = application(stack)
        app.start()
        await until(lambda: len(app.calls) >= 5)
        app.finish()
        await until(lambda: not app.running)
        assert {(call.backend, call.attempts, call.problem) for call in app.calls} == {("dashscope-sg", 1, "")}
        for call in app.calls:
            assert call.ended is not None
            assert call.begun <= call.pieces[0] <= call.pieces[-1] <= call.ended
        app.close()


async def test_a_text_that_is_not_the_whole_one_is_a_failed_call(tmp_path: Path) -> None:
    """A character too few is seen; so is a refusal, and a stream that is cut."""
    async with running(tmp_path) as stack:
        stack.sim("dashscope").behave({"text": TEXT[:-1]})
        app = application(stack)
        app.start()
        await until(lambda: any(call.ended for call in app.calls))
        ended = next(call for call in app.calls if call.ended)
        assert "the text is not the whole one" in ended.problem
        stack.sim("dashscope").behave({"text": TEXT, "fault": {"kind": "cut", "after_pieces": 2}})
        await until(lambda: any("broke off" in call.problem for call in app.calls))
        stack.sim("dashscope").behave({"fault": {"kind": "named", "name": "dashscope.invalid_parameter"}})
        await until(lambda: any("refused as invalid" in call.problem for call in app.calls))
        await asyncio.to_thread(app.close)
        assert not app.running


async def test_it_ends_at_once_when_it_is_closed(tmp_path: Path) -> None:
    """Calls under way are left, and closing what was never started does nothing."""
    async with running(tmp_path) as stack:
        application(stack).close()
        stack.sim("dashscope").behave({"latency_ms": 60_000})
        app = application(stack)
        app.start()
        await until(lambda: bool(stack.received("dashscope")))
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(app.close)
        assert asyncio.get_running_loop().time() - began < 20
        assert not app.running
        assert all(call.ended is None and not call.failed for call in app.calls)
