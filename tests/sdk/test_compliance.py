"""`llm-comply`, a judge of endpoints that others wrote: no check that passes direct fails through the proxy."""

from pathlib import Path

import pytest

from hybridproxy.providers import PROVIDERS
from tests.support.compliance import FORMS, judged, lost
from tests.support.paired import KEY, MODEL, paired
from tests.support.stack import SHOP


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider(provider: str, tmp_path: Path) -> None:
    """Text, system prompt, conversation, tools, stream, usage, image, error: in each form nothing fails."""
    async with paired(tmp_path, provider) as pair:
        direct = await judged("openai-chat", pair.simulator.base_url, KEY, MODEL)
        through = {form: await judged(form, pair.stack.url + "/v1", SHOP, MODEL) for form in FORMS}
    assert lost(direct, through["openai-chat"]) == []
    assert [check for checks in through.values() for check, found in checks.items() if found == "failed"] == []
    assert [list(checks.values()).count("passed") for checks in through.values()] == [8, 8, 12]
