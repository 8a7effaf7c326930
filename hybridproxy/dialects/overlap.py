"""Text that comes twice where one stream takes over from another: what is new in it, without IO.

`Joint` is for a continuation. Chat templates strip the end of a message, and some servers refuse whitespace there, so
a continuation is asked for without it, and the whitespace may come a second time.

A backend that repeats what it was sent before it writes on would say everything twice. None that we continue on is
known to (DashScope's recorded replies and vLLM's `echo: false` have the new text only). So a continuation that begins
with all of what was sent loses it, if that text `_tells` an echo from an answer that says the same again. An echo of
the tail alone is not looked for: a table's next row, a refrain, the next line of code begin like the last one, and
characters lost in silence are worse than characters that come twice.

`Known` is for a repetition, which is compared character by character.
"""

from typing import Final

ECHO: Final = 16
"""Characters a text needs for its repetition to count as an echo: a clause in English, a sentence in Chinese. Less
comes twice at the beginning of honest texts ("ha ha", a line of a song), and if it was an echo, little was repeated."""

PERIOD: Final = 512
"""Characters of the longest pattern that is looked for; it bounds the time."""


class DiffersError(Exception):
    """What comes cannot follow what the caller has. Its words hold nothing of either text."""


class Joint:
    """A continuation's text: takes it as it comes, returns what the caller lacks."""

    __slots__ = ("_at", "_echo", "_matched", "_spaces")

    def __init__(self, text: str) -> None:
        """Begin after the text that the caller has; the backend was sent it without whitespace at its end."""
        begun = text.rstrip()
        self._echo = begun if _tells(begun) else ""
        self._matched = 0  # of the echo; what is held is always the echo up to here
        self._spaces = text[len(begun) :]
        self._at = 0

    def next(self, text: str, *, last: bool = False) -> str:
        """Return what passes with this text; with the last one, all that is held."""
        if self._echo:
            text = self._without_echo(text, last=last)
        if self._spaces and text:
            text = self._without_spaces(text)
        return text

    def _without_echo(self, text: str, *, last: bool) -> str:
        echo, held = self._echo, self._matched
        size = min(len(text), len(echo) - held)
        same = echo.startswith(text[:size], held)
        if same and held + size == len(echo):
            self._echo = ""
            return text[size:]
        if same and not last:
            self._matched += size
            return ""
        self._echo = ""
        return echo[:held] + text

    def _without_spaces(self, text: str) -> str:
        pending = self._spaces[self._at : self._at + len(text)]
        size = next((i for i, (a, b) in enumerate(zip(text, pending, strict=False)) if a != b), len(pending))
        self._at += size
        if size < len(text):
            self._spaces = ""
        return text[size:]


def _tells(begun: str) -> bool:
    """Return whether an answer that goes on with all of itself is an echo.

    A line of dashes, "na na na", a model caught in a loop go on as they began, wherever they are cut. Of any other text
    an honest second copy would have to begin exactly at the cut, and without the space that stands between two copies.
    """
    head = begun[: 2 * PERIOD]
    return len(begun) >= ECHO and not any(head.startswith(head[p:]) for p in range(1, len(head) // 2 + 1))


class Known:
    """A text the caller has, as far as a repetition has reproduced it."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        """Begin at the text's beginning."""
        self._text = text
        self._at = 0

    @property
    def reached(self) -> bool:
        """Whether all of it was reproduced."""
        return self._at == len(self._text)

    def beyond(self, text: str) -> str:
        """Return the part of the repetition's next text that goes beyond.

        Raises:
            DiffersError: it is another text.

        """
        size = min(len(text), len(self._text) - self._at)
        if not self._text.startswith(text[:size], self._at):
            raise DiffersError(f"the repetition differs within {size} characters from character {self._at} on")
        self._at += size
        return text[size:]
