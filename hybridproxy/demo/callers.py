"""Calls as an application makes them: through the official `openai` client, which knows nothing of the proxy."""

import time
from collections.abc import Callable
from typing import Any, Final

from openai import APIConnectionError, APIError, APIStatusError, DefaultHttpxClient, OpenAI

from hybridproxy.demo.outcome import Outcome
from hybridproxy.demo.ports import HOST

MODEL: Final = "qwen3-235b"
TIMEOUT: Final = 60.0
"""Seconds; a real engine on a slow CPU takes a while to begin."""

MAX_TOKENS: Final = 60


class Callers:
    """Applications in several places, played by one client at the data port."""

    def __init__(self, port: int) -> None:
        """Prepare to call."""
        # trust_env: an HTTP_PROXY in the environment is not for this machine. max_retries: the tour shows single calls.
        self._client = OpenAI(
            base_url=f"http://{HOST}:{port}/v1",
            api_key="given with each call",
            max_retries=0,
            timeout=TIMEOUT,
            http_client=DefaultHttpxClient(trust_env=False),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def ask(self, key: str, address: str, question: str, on_text: Callable[[str], None]) -> Outcome:
        """Make a streamed call with a tenant's key as if from an address; each piece goes to `on_text` as it comes."""
        begun = time.monotonic()
        headers: dict[str, str] = {}
        pieces: list[str] = []
        status, finished, code, message = 0, False, "", ""
        try:
            response = self._client.with_options(api_key=key).chat.completions.with_raw_response.create(
                model=MODEL,
                messages=[{"role": "user", "content": question}],
                max_tokens=MAX_TOKENS,
                stream=True,
                extra_headers={"x-forwarded-for": address, "x-hybridproxy-explain": "1"},
            )
            status, headers = response.status_code, dict(response.headers)
            for chunk in response.parse():
                for choice in chunk.choices:
                    if choice.delta.content:
                        pieces.append(choice.delta.content)
                        on_text(choice.delta.content)
                    finished = finished or choice.finish_reason is not None
        except APIStatusError as error:
            status, headers = error.status_code, dict(error.response.headers)
            code, message = _said(error)
        except APIConnectionError as error:
            code, message = "connection", f"the connection broke: {error}"
        except APIError as error:
            code, message = _said(error)
        return Outcome(
            status=status,
            text="".join(pieces),
            complete=finished and not message,
            code=code,
            message=message,
            headers=headers,
            seconds=time.monotonic() - begun,
        )


def _said(error: APIError) -> tuple[str, str]:
    """Return the code and the words of the proxy's error, without what the client puts around them."""
    body: Any = error.body
    words = body.get("message") if isinstance(body, dict) else None
    return str(error.code or error.type or type(error).__name__), str(words or error.message)
