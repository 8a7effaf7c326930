"""Signed thoughts on their way through a caller who speaks the Responses API.

Claude wants back the thoughts that led to a call of a tool, with their signatures. The Responses API has one opaque
field for that, `encrypted_content` of a reasoning item, which callers send back as it came: the blocks travel in it.
What comes back is the caller's word, as it would be in Anthropic's own dialect; the upstream checks the signature.
"""

import binascii
from collections.abc import Iterable
from typing import Any, Final

import orjson

_MARK: Final = "thinking-blocks-1."
_FIELDS: Final = ("type", "thinking", "signature", "data")
_KINDS: Final = ("thinking", "redacted_thinking")


def sealed(blocks: Iterable[Any], thought: str) -> str | None:
    """Return the field for signed blocks of thought, None where none of them is signed.

    Args:
        blocks: as an answer has them; a stream's may have a signature alone.
        thought: what was thought, for the first of those that do not say.

    """
    made = []
    for block in _clean(blocks):
        if block["type"] == "thinking":
            if not block.get("signature"):
                continue
            if not block.get("thinking"):
                block["thinking"], thought = thought, ""
        made.append(block)
    return _MARK + binascii.b2a_base64(orjson.dumps(made), newline=False).decode() if made else None


def unsealed(text: str) -> list[dict[str, str]]:
    """Return the blocks that a field holds, none where they are not of our making."""
    if not text.startswith(_MARK):
        return []
    try:
        blocks = orjson.loads(binascii.a2b_base64(text.removeprefix(_MARK).encode()))
    except ValueError:  # of both
        return []
    return list(_clean(blocks if isinstance(blocks, list) else ()))


def _clean(blocks: Iterable[Any]) -> Iterable[dict[str, str]]:
    for block in blocks:
        if isinstance(block, dict) and block.get("type") in _KINDS:
            yield {name: block[name] for name in _FIELDS if isinstance(block.get(name), str)}
