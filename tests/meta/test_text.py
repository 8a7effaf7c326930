"""The project's text speaks of the project, not of the machine or the network it was written on."""

import re

import pytest

from tests.meta.project import ROOT, project_files

# Each name is put together here, so that this file does not contain what it forbids.
FORBIDDEN = {
    "absolute paths of a machine": [rf"(?<![\w.~]){place}" for place in ("/" + "work/", "/" + "root/", "/" + "tmp/")]
    + [rf"(?<![\w.~])/{home}/\w" for home in ("ho" + "me", "Us" + "ers")],
    "host names of package registries": [
        re.escape(first + rest)
        for first, rest in (
            ("pypi.", "org"),
            ("python", "hosted.org"),
            ("npmjs.", "org"),
            ("npmjs.", "com"),
            ("crates.", "io"),
            ("deb.debian.", "org"),
            ("proxy.golang.", "org"),
        )
    ],
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_contains(what: str) -> None:
    """No text file of the project contains absolute paths of a machine or host names of package registries."""
    pattern = re.compile("|".join(FORBIDDEN[what]))
    files = project_files()
    assert files
    found = []
    for path in files:
        content = (ROOT / path).read_bytes()
        if b"\0" in content[:8192]:
            continue
        lines = content.decode(errors="replace").splitlines()
        found += [f"{path}:{number}: {line[:120]}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert not found, "\n".join(found)
