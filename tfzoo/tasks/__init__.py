"""One learning problem a file: what a batch is, the loss, and how items are scored."""

from __future__ import annotations

from tfzoo.problems.implicit import ImplicitSettings
from tfzoo.problems.next_item import NextItemSettings
from tfzoo.problems.rating import RatingSettings
from tfzoo.problems.reconstruction import ReconstructionSettings
from tfzoo.problems.review_rating import ReviewRatingSettings
from tfzoo.tasks.base import TASKS, Scorer, Task, register_task
from tfzoo.tasks.implicit import ImplicitTask
from tfzoo.tasks.next_item import NextItemTask
from tfzoo.tasks.rating import RatingTask
from tfzoo.tasks.reconstruction import ReconstructionTask
from tfzoo.tasks.review_rating import ReviewRatingTask

__all__ = [
    "TASKS",
    "ImplicitSettings",
    "ImplicitTask",
    "NextItemSettings",
    "NextItemTask",
    "RatingSettings",
    "RatingTask",
    "ReconstructionSettings",
    "ReconstructionTask",
    "ReviewRatingSettings",
    "ReviewRatingTask",
    "Scorer",
    "Task",
    "get_task",
    "register_task",
]


def get_task(name: str) -> type[Task]:
    """Return the class of a task by name; raises `UsageError` for an unknown one."""
    return TASKS[name]
