"""What recipes know of tasks and inputs is what these say themselves."""

import pytest
from pydantic import BaseModel

from tfzoo.errors import UsageError
from tfzoo.inputs.base import INPUTS, Input, find_input, known_names, register_input
from tfzoo.problems import PROBLEMS, automatic_arguments, inputs
from tfzoo.problems.base import Problem
from tfzoo.tasks import TASKS, Task, register_task


def test_every_task_is_the_problem_of_its_name():
    assert set(PROBLEMS) == set(TASKS)
    for name, task in TASKS.items():
        assert issubclass(task, PROBLEMS[name])
        assert task.Settings is PROBLEMS[name].Settings
        assert not issubclass(PROBLEMS[name], Task)
    with pytest.raises(UsageError, match=r"Unknown task .ratings.\. Did you mean .rating."):
        PROBLEMS["ratings"]


def test_a_task_of_another_package_is_its_own_problem(monkeypatch):
    monkeypatch.setattr(TASKS, "_parts", dict(TASKS))
    monkeypatch.setattr(PROBLEMS, "_parts", dict(PROBLEMS))

    @register_task
    class Foreign(Task):
        name = "foreign"
        Settings = BaseModel

    assert PROBLEMS["foreign"] is Foreign
    assert issubclass(Foreign, Problem)


def test_what_inputs_decide_is_what_they_work_out():
    assert automatic_arguments() == ("dense_size", "field_sizes", "item_features", "user_features")
    for name in known_names():
        provider, _ = find_input(name)
        # One that decides nothing works nothing out, and the other way round.
        assert bool(provider.arguments(name)) == (provider.sizes.__func__ is not Input.sizes.__func__), name


def test_an_input_of_another_package_says_what_it_decides(monkeypatch):
    monkeypatch.setattr(INPUTS, "_parts", dict(INPUTS))
    monkeypatch.setattr(inputs, "_ARGUMENTS", dict(inputs._ARGUMENTS))

    @register_input("price")
    class Price(Input):
        @classmethod
        def arguments(cls, name):
            return (f"{name}_buckets",)

    assert automatic_arguments()[-2:] == ("user_price_buckets", "item_price_buckets")
