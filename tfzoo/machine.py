"""How much memory this process may use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# Of a group without a limit, in version 1: the largest multiple of a page below 2**63.
UNLIMITED = 2**62


def memory_limit() -> int | None:
    """Return the bytes of memory of this machine, or of the control group that this process is in.

    Returns:
        The smaller of both; None where the system does not tell.
    """
    found = list(_group_limits())
    with contextlib.suppress(AttributeError, OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in found if 0 < limit < UNLIMITED), default=None)


def _group_limits() -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, and of those around them."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            top, name = CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / group.lstrip("/")
        # In a container the path may be that of the host, and the group's own files lie on top.
        for place in (folder, *folder.parents):
            if place == top or top in place.parents:
                try:
                    yield int((place / name).read_text(encoding="utf-8"))
                except (OSError, ValueError):  # "max" is no limit.
                    continue
