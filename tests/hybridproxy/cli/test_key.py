"""`hybridproxy key new`: a key that is shown once."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]


def test_a_key_with_the_digest_that_goes_into_the_file(run: Run) -> None:
    """The printed digest is the key's, the key stands there once, and no two are alike."""
    seen = set()
    for _ in range(3):
        done = run("key", "new", "shop")
        assert done.exit_code == 0
        (key,) = re.findall(r"hp_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", done.stdout)
        assert f'  shop: {{keys: ["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]}}' in done.stdout
        assert done.stdout.count(key) == 1
        assert done.stderr == ""
        seen.add(key)
    assert len(seen) == 3


def test_json_has_tenant_key_and_digest(run: Run) -> None:
    """A script that hands keys out reads three fields."""
    answer = json.loads(run("key", "new", "shop", "--json").stdout)
    assert answer.keys() == {"tenant", "key", "digest"}
    assert answer["tenant"] == "shop"
    assert answer["digest"] == "sha256:" + hashlib.sha256(answer["key"].encode()).hexdigest()


def test_the_key_is_nowhere_but_on_the_screen(file: Path, run: Run) -> None:
    """Nothing is written: who loses the key makes a new one."""
    before = {path: path.read_bytes() for path in file.parent.rglob("*")}
    assert run("key", "new", "shop").exit_code == 0
    assert {path: path.read_bytes() for path in file.parent.rglob("*")} == before


def test_the_printed_line_works_in_the_file(file: Path, run: Run) -> None:
    """What is printed can be put under `tenants:` as it is, and the file is still sound."""
    shown = run("key", "new", "new-shop").stdout
    line = shown.splitlines()[-1].replace("]}", "], route: default, models: [qwen]}")
    file.write_text(file.read_text() + line + "\n")
    assert "3 tenants" in run("check", "--config", file).stdout


def test_key_alone_shows_what_there_is(run: Run) -> None:
    """`hybridproxy key` without a verb is misuse, and lists the verbs."""
    done = run("key")
    assert done.exit_code == 2
    assert "new" in done.output
