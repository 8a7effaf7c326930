"""Facts of model families: what holds for a family whoever hosts it."""

from collections.abc import Mapping
from typing import Any

from hybridproxy.model.value import value


@value
class Family:
    """A family of models.

    Attributes:
        name: the word used in the configuration.
        tokens_per_byte: of UTF-8 text other than Chinese, Japanese and Korean.
        tokens_per_cjk: tokens of one Chinese, Japanese or Korean character.

    """

    name: str
    tokens_per_byte: float
    tokens_per_cjk: float


@value
class TokenEstimate:
    """A number of tokens that nobody counted; the type is the mark that it is an estimate."""

    tokens: int


def estimate_tokens(family: Family, body: Mapping[str, Any]) -> TokenEstimate:
    """Return about how many tokens a call's input has: the texts of its messages, prompt, input and tools.

    Images, audio and files count for nothing, so the estimate is rather too low than too high: it may only be used to
    leave out a backend whose window is clearly too small.
    """
    plain = cjk = counted = 0
    pending: list[Any] = [body.get("messages"), body.get("prompt"), body.get("input"), body.get("tools")]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is str:
            if value.isascii():
                plain += len(value)
                continue
            text = value.encode("utf-8", "replace")
            wide = len(text) - len(text.translate(None, _WIDE))
            cjk += wide
            plain += len(text) - 3 * wide
        elif kind is list:
            if value and type(value[0]) is int:
                counted += len(value)  # the caller's own tokens
            else:
                pending.extend(value)
        elif kind is dict:
            for name, inner in value.items():
                if name in _NOT_TEXT:
                    continue
                if type(inner) is str and inner.isascii():  # nearly always
                    plain += len(inner)
                else:
                    pending.append(inner)
    return TokenEstimate(int(plain * family.tokens_per_byte + cjk * family.tokens_per_cjk) + counted)


_WIDE = bytes(range(0xE3, 0xEE))
"""First bytes in UTF-8 of the characters from U+3000 to U+DFFF, each of three bytes: kana, ideographs, Hangul."""

_NOT_TEXT = frozenset(
    {
        "image_url", "image_embeds", "input_audio", "audio_url", "audio_embeds", "video", "video_url", "file",
        "role", "type", "id", "tool_call_id",
    }
)  # fmt: skip
"""What holds no text, but pictures, sounds, films and files as base64, or names."""
