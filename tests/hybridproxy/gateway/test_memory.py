"""How much memory this process holds, and how much it may hold."""

import mmap
import os
import resource
from pathlib import Path

import pytest

from hybridproxy.gateway.memory import RESERVED, Memory, affordable, memory_limit

WHOLE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def system(folder: Path, cgroup: str, limits: dict[str, str]) -> Path:
    """A root folder with such files in it."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(cgroup)
    for name, text in limits.items():
        file = folder / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "536870912\n"}, 512 << 20),  # a container, second version
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "268435456\n"}, 256 << 20),  # its parent's
        ("0::/../../x\n", {"memory.max": "1048576\n"}, 1 << 20),
        ("9:cpu:/\n5:hugetlb,memory:/kube/x\n", {"memory/kube/x/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),
        ("5:memory:/gone\n", {"memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),  # as it is mounted inside
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, WHOLE),  # no limit
        ("0::/\n", {"memory.max": "0\n"}, WHOLE),
        ("0::/\n", {"memory.max": "junk\n"}, WHOLE),
        ("junk\n", {}, WHOLE),
    ],
)
def test_the_least_limit_of_all_groups_counts(
    tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int
) -> None:
    """Both versions of cgroups, a container's and a parent's; without any it is the machine's memory."""
    assert memory_limit(system(tmp_path, cgroup, limits)) == expected


def test_a_system_without_cgroups_has_its_memory(tmp_path: Path) -> None:
    """Nothing is mounted, and no file says where."""
    assert memory_limit(tmp_path) == WHOLE


def test_what_this_process_holds_is_what_the_system_says() -> None:
    """Thirty megabytes more are seen."""
    memory = Memory()
    assert 0 < memory.limit <= WHOLE
    before = memory.resident()
    with mmap.mmap(-1, 30_000_000) as held:  # pages that no earlier test has had
        held.write(b"x" * len(held))
        assert 25_000_000 < memory.resident() - before < 200_000_000


def test_calls_need_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two each, of those that are not kept for other things; one call there is always."""
    for files, calls in ((20_000, 5000), (1024, (1024 - RESERVED) // 2), (100, 1), (resource.RLIM_INFINITY, 5000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, files=files: (files, files))
        assert affordable(5000) == calls
