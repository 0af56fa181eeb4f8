"""How a command ends for which the memory does not suffice."""

from __future__ import annotations

from tfzoo.machine import memory_limit

HINT = "Choose smaller sizes (--set builder.* or training.batch_size), less data, or another machine."


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
