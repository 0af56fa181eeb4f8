"""What recipes need to know of a task, apart from what learns it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from tfzoo.discovery import Registry

Count = Annotated[int, Field(ge=1)]


class Problem:
    """What recipes need to know of a task; the task itself, which needs TensorFlow, derives from it.

    Attributes:
        name: what models and recipes refer to it by.
        Settings: its part of a recipe.
        predicts_ratings: what it predicts are ratings, and its test cases are pairs of a user and an item.
        automatic: builder arguments for which a recipe may say ``auto``, beside those of model inputs.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    predicts_ratings: ClassVar[bool] = False
    automatic: ClassVar[tuple[str, ...]] = ()


PROBLEMS: Registry[type[Problem]] = Registry("task", "tfzoo.problems")


def register_problem(problem: type[Problem]) -> type[Problem]:
    """Put the decorated class into the registry, under its ``name``."""
    PROBLEMS.register(problem.name)(problem)
    return problem
