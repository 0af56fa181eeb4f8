"""One learning problem a file: what a batch is, the loss, and how items are scored."""

from __future__ import annotations

from tfzoo.tasks.base import TASKS, Scorer, Task, register_task
from tfzoo.tasks.implicit import ImplicitSettings, ImplicitTask
from tfzoo.tasks.next_item import NextItemSettings, NextItemTask
from tfzoo.tasks.rating import RatingSettings, RatingTask
from tfzoo.tasks.reconstruction import ReconstructionSettings, ReconstructionTask
from tfzoo.tasks.review_rating import ReviewRatingSettings, ReviewRatingTask

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
