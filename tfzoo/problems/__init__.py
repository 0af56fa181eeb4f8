"""What recipes may say of each task and input, apart from what learns and fills them: without TensorFlow."""

from tfzoo.problems.base import PROBLEMS, Count, Problem, register_problem
from tfzoo.problems.inputs import automatic_arguments

__all__ = ["PROBLEMS", "Count", "Problem", "automatic_arguments", "register_problem"]
