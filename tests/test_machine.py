"""The memory that a process may use."""

import os

import pytest

from tfzoo import machine

TOTAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Return how to write what the system says of the control groups of this process."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")

    def write(membership, **files):
        (tmp_path / "membership").write_text(membership, encoding="utf-8")
        for place, text in files.items():
            path = tmp_path / "cgroup" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write


def test_without_groups_it_is_the_machines(groups):
    assert machine.memory_limit() == TOTAL
    groups("nonsense\n0::\n:::\n")
    assert machine.memory_limit() == TOTAL


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "4096\n"}, 4096),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "8192\n"}, 8192),
        ("0::/a/b\n", {"a/b/memory.max": "4096\n", "a/memory.max": "2048\n"}, 2048),
        # In a container: the path is that of the host.
        ("0::/docker/1234\n", {"memory.max": "4096"}, 4096),
        ("0::/\n", {"memory.max": "4096"}, 4096),
        ("5:cpu,memory:/x\n", {"memory/x/memory.limit_in_bytes": "4096"}, 4096),
        ("5:cpu:/x\n", {"memory/x/memory.limit_in_bytes": "4096"}, TOTAL),
        ("5:memory:/x\n", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, TOTAL),
        ("0::/a\n", {"a/memory.max": "many"}, TOTAL),
        ("0::/../../..\n", {"memory.max": "4096"}, 4096),
    ],
)
def test_the_smallest_limit_of_a_group_counts(groups, membership, files, limit):
    groups(membership, **files)
    assert machine.memory_limit() == limit
