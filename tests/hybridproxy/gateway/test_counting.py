"""An estimate stands in for a count where nobody can be asked, and for nothing else."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects.anthropic.dialect import ANTHROPIC
from hybridproxy.dialects.translator import Asking
from hybridproxy.gateway.counting import estimated, may_estimate
from hybridproxy.metering.estimate import IMAGE_TOKENS, MESSAGE_TOKENS
from hybridproxy.model.call import Operation
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Refusal, RefusalKind
from hybridproxy.model.snapshot import Model

MODEL = Model("m", "qwen3", ())
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO" * 1000}}


def tokens(*messages: Any, **more: Any) -> int:
    """Return the estimate of a request with these messages."""
    body = {"model": "m", "messages": list(messages), **more}
    found: int = estimated(ANTHROPIC.decode(Asking(Operation.COUNT), orjson.dumps(body)), MODEL)["input_tokens"]
    return found


def test_texts_tools_pictures_and_what_a_template_adds() -> None:
    """Each counts; the bytes of a picture do not."""
    user = {"role": "user", "content": "four" * 10}
    assert tokens(user) == 10 + MESSAGE_TOKENS
    assert tokens(user, system="four" * 5) == 15 + 2 * MESSAGE_TOKENS
    seen = {"role": "user", "content": [{"type": "text", "text": "four" * 10}, PIXEL, PIXEL]}
    assert tokens(seen) == 10 + MESSAGE_TOKENS + 2 * IMAGE_TOKENS
    assert tokens(user, tools=[{"name": "f", "description": "x" * 400, "input_schema": {}}]) > 100


@pytest.mark.parametrize("kind", RefusalKind)
def test_which_refusals_leave_room_for_an_estimate(kind: RefusalKind) -> None:
    """Where there is nobody to ask; not for a model that there is not, or a region that is refused."""
    refused = Refusal(kind, "no")
    assert may_estimate(refused) is (kind not in {RefusalKind.UNKNOWN_MODEL, RefusalKind.REGION_REFUSED})


def test_which_faults_do() -> None:
    """Whatever is not the caller's own doing."""
    fault = Fault(FaultKind.OVERLOADED)
    assert may_estimate(fault)
    assert may_estimate(replace(fault, kind=FaultKind.CONNECT))
    assert not may_estimate(replace(fault, kind=FaultKind.INVALID_REQUEST))
