"""One learning problem a file: what a batch is, the loss, and how items are scored."""

from __future__ import annotations

from tfzoo.errors import UsageError, nearest
from tfzoo.tasks.base import Scorer, Task
from tfzoo.tasks.implicit import ImplicitSettings, ImplicitTask
from tfzoo.tasks.rating import RatingSettings, RatingTask
from tfzoo.tasks.reconstruction import ReconstructionSettings, ReconstructionTask

TASKS: dict[str, type[Task]] = {task.name: task for task in (RatingTask, ImplicitTask, ReconstructionTask)}

__all__ = [
    "TASKS",
    "ImplicitSettings",
    "ImplicitTask",
    "RatingSettings",
    "RatingTask",
    "ReconstructionSettings",
    "ReconstructionTask",
    "Scorer",
    "Task",
    "get_task",
]


def get_task(name: str) -> type[Task]:
    """Return the class of a task by name; raises `UsageError` for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"Unknown task '{name}'. {nearest(name, TASKS)}")
    return TASKS[name]
