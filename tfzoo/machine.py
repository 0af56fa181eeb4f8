"""How much memory this process may use, and what to say where it does not suffice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# Of a group without a limit, in version 1: the largest multiple of a page below 2**63.
UNLIMITED = 2**62
HINT = "Choose smaller sizes (--set builder.* or training.batch_size), less data, or another machine."


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


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error, or what it came from, says that an allocation has failed."""
    found: BaseException | None = error
    while found is not None:
        # By name: TensorFlow's class is not worth seconds of import for commands that do without.
        if isinstance(found, MemoryError) or type(found).__name__ == "ResourceExhaustedError":
            return True
        found = found.__cause__ or found.__context__
    return False


def out_of_memory(error: Exception) -> str:
    """Return the message for it."""
    limit = memory_limit()
    there = "" if limit is None else f" There are {limit / 2**30:,.1f} GiB."
    words = " ".join(str(error).split())
    said = f" ({words[:160]})" if words else ""
    return f"The memory does not suffice{said}.{there} {HINT}"
