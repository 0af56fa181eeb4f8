"""One learning problem a file: what a batch is, the loss, and how items are scored."""

from __future__ import annotations

from tfzoo.errors import UsageError, nearest
from tfzoo.tasks.rating import RatingSettings, RatingTask

TASKS = {task.name: task for task in (RatingTask,)}

__all__ = ["TASKS", "RatingSettings", "RatingTask", "get_task"]


def get_task(name: str) -> type[RatingTask]:
    """Return the class of a task by name; raises `UsageError` for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"Unknown task '{name}'. {nearest(name, TASKS)}")
    return TASKS[name]
