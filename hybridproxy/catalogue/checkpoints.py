"""When which checkpoint came out, and of what it is a generation.

`MD`: github.com/anomalyco/models.dev of 2026-07-02, `release_date` in `models/alibaba` and, where that has the month
only, of the host that was first. `OR`: the date in OpenRouter's canonical name, seen in autumn 2026. `SNAP`: the date
in the maker's own name of a snapshot. Names without a version (`qwen-plus`) move on; the date is that of the newest
snapshot known. A line holds what replaces each other: sizes, and models that think by themselves, are lines of their
own.
"""

from collections.abc import Mapping
from typing import Final

from hybridproxy.catalogue.row import Checkpoint

_MD, _OR, _SNAP = "models.dev 2026-07-02", "OpenRouter's canonical names", "the maker's snapshot names"

CHECKPOINTS: Final[Mapping[str, Checkpoint]] = {
    name: Checkpoint(name, line, released, source)
    for name, line, released, source in (
        ("qwen3.8-max", "qwen-max", "2026-08-03", _OR),
        ("qwen3.7-max", "qwen-max", "2026-05-21", _MD),
        ("qwen3-max", "qwen-max", "2025-09-23", _MD),
        ("qwen3.7-plus", "qwen-plus", "2026-06-02", _MD),
        ("qwen3.6-plus", "qwen-plus", "2026-04-02", _MD),
        ("qwen3.5-plus", "qwen-plus", "2026-02-16", _MD),
        ("qwen-plus", "qwen-plus", "2025-07-28", _SNAP),
        ("qwen3.8-flash", "qwen-flash", "2026-08-26", _OR),
        ("qwen3.7-flash", "qwen-flash", "2026-07-15", _SNAP),
        ("qwen-flash", "qwen-flash", "2025-07-28", _MD),
        ("qwen3.8-2.4t-a95b", "", "2026-08-12", _OR),
        ("qwen3.8-27b", "qwen-27b", "2026-08-14", _OR),
        ("qwen3.6-27b", "qwen-27b", "2026-04-22", _MD),
        ("qwen3.5-27b", "qwen-27b", "2026-02-23", _MD),
        ("qwen3.6-35b-a3b", "qwen-35b-a3b", "2026-04-17", _MD),
        ("qwen3.5-35b-a3b", "qwen-35b-a3b", "2026-02-23", _MD),
        ("qwen3.5-397b-a17b", "", "2026-02-15", _MD),
        ("qwen3.5-122b-a10b", "", "2026-02-23", _MD),
        ("qwen3.5-9b", "", "2026-02-23", _MD),
        ("qwen3-235b-a22b-instruct-2507", "qwen3-235b", "2025-07-21", _MD),
        ("qwen3-235b-a22b", "qwen3-235b", "2025-04-28", _MD),
        ("qwen3-235b-a22b-thinking-2507", "", "2025-07-25", _MD),
        ("qwen3-coder-plus", "", "2025-07-23", _MD),
        ("qwen3-coder-480b-a35b-instruct", "", "2025-07-23", _MD),
        ("qwen3-coder-next", "", "2026-02-03", _MD),
        ("qwen3-coder-30b-a3b-instruct", "", "", ""),
        ("qwen3-next-80b-a3b-instruct", "", "2025-09-10", _MD),
        ("qwen3-vl-235b-a22b", "", "", ""),
        ("qwen3-32b", "", "2025-04-28", _MD),
        ("qwen3-14b", "", "2025-04-28", _MD),
        ("qwen3-8b", "", "2025-04-28", _MD),
        ("qwen2.5-72b-instruct", "", "2024-09-19", _MD),
        ("qwen2.5-7b-instruct", "", "2024-09-19", _MD),
    )
}

LINES: Final = tuple(sorted({one.line for one in CHECKPOINTS.values() if one.line}))
"""The lines, each a name that `latest` takes."""


def checkpoint_by_name(name: str) -> Checkpoint | None:
    """Return the checkpoint that weights of this name are, whoever serves them: `Qwen/Qwen3-8B` is `qwen3-8b`."""
    return CHECKPOINTS.get(name.rpartition("/")[2].lower())
