"""What fills an input of a model: a provider for each name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.text import EncodedTexts
from tfzoo.discovery import Registry
from tfzoo.errors import UsageError, nearest
from tfzoo.problems.inputs import automatic_arguments, declare_arguments, input_arguments

SIDES = ("user", "item")
NONE = -1


class Case(NamedTuple):
    """A training example whose inputs must not tell the answer.

    Attributes:
        user_id: int32 of any shape; `NONE` where nothing of this user is to be left out.
        item_id: int32, the same shape; `NONE` where nothing of this item is to be left out.
        row: int32, the same shape, row of the training part that the example is, `NONE` for a drawn one;
            None where no provider asks.
    """

    user_id: tf.Tensor
    item_id: tf.Tensor
    row: tf.Tensor | None = None

    def ids(self, side: str) -> tf.Tensor:
        """Return the ids of a side."""
        return self.user_id if side == "user" else self.item_id

    def other(self, side: str) -> tf.Tensor:
        """Return the ids of the other side."""
        return self.item_id if side == "user" else self.user_id


@dataclass(frozen=True)
class Known:
    """What providers may read.

    Attributes:
        parts: interactions, the training part first, so that its row numbers hold for all of them.
        settings: the task's, for what it decides about inputs.
        binary: an interaction counts 1, whatever its rating.
        reviews: the texts of all parts, one after another, as the vocabulary of the task encodes them.
    """

    parts: tuple[Interactions, ...]
    settings: Any = None
    binary: bool = False
    reviews: EncodedTexts | None = None

    @property
    def train(self) -> Interactions:
        """The first part; its vocabularies are those of all."""
        return self.parts[0]


class Input(tf.Module):
    """Fills one input of a model from ids; what it holds are variables, which exports carry.

    Args:
        name: the input's name, such as ``user_row``.
        side: ``user`` or ``item``, whose ids it is filled from.
        known: what it may read.
        tensor: the model's input; None where there is no model yet.

    Attributes:
        reads_rows: the step is dominated by one large product over rows, which runs faster outside XLA
            on a CPU.
        supports_jit: a step that this is part of can be compiled with XLA.
        own_side: the side of an input whose name does not begin with one.
    """

    reads_rows: ClassVar[bool] = False
    supports_jit: ClassVar[bool] = True
    own_side: ClassVar[str] = ""

    def __init__(self, name: str, side: str, known: Known, tensor: keras.KerasTensor | None = None) -> None:
        super().__init__(name=name)
        self.input_name, self.side = name, side

    @classmethod
    def arguments(cls, name: str) -> tuple[str, ...]:
        """Return the names of the builder's arguments that depend on this input."""
        return input_arguments(name)

    @classmethod
    def sizes(cls, name: str, side: str, known: Known) -> dict[str, Any]:
        """Return the values of `arguments`, from the training part alone."""
        return {}

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the input for dense ids of its side, int32 ``[...]``, with all that is known of them."""
        raise TypeError(f"{type(self).__name__} does not fill '{self.input_name}'.")

    def train(self, case: Case) -> tf.Tensor:
        """Return the input for training examples, without what would tell their answer."""
        return self.of(case.ids(self.side))

    def in_memory(self) -> Input:
        """Return what gives the same sooner, for pipelines alone."""
        return self


INPUTS: Registry[type[Input]] = Registry("model input", "tfzoo.inputs")


def register_input(kind: str) -> Callable[[type[Input]], type[Input]]:
    """Return a decorator that registers a provider.

    Args:
        kind: the input's name, or what follows ``user_`` and ``item_`` in the names of the two that it fills.
    """

    def register(provider: type[Input]) -> type[Input]:
        INPUTS.register(kind)(provider)
        for name in _names(kind, provider):
            declare_arguments(name, provider.arguments(name))
        return provider

    return register


def find_input(name: str) -> tuple[type[Input], str]:
    """Return the provider of an input and the side it belongs to; raises `UsageError` for an unknown name."""
    if name in INPUTS and INPUTS[name].own_side:
        return INPUTS[name], INPUTS[name].own_side
    side, _, kind = name.partition("_")
    if side in SIDES and kind in INPUTS and not INPUTS[kind].own_side:
        return INPUTS[kind], side
    raise UsageError(f"Nothing fills the input '{name}' of a model. {nearest(name, known_names())}")


def known_names() -> list[str]:
    """Return the names of all inputs that something fills."""
    return [name for kind, provider in INPUTS.items() for name in _names(kind, provider)]


def _names(kind: str, provider: type[Input]) -> list[str]:
    return [kind] if provider.own_side else [f"{side}_{kind}" for side in SIDES]


def make_input(name: str, known: Known, tensor: keras.KerasTensor | None = None) -> Input:
    """Return what fills an input of a model.

    Args:
        name: of the input.
        known: what may be read.
        tensor: the model's input, whose shape is checked; None for no check.

    Raises:
        UsageError: nothing fills an input of that name, or the model was built for another size.
    """
    provider, side = find_input(name)
    return provider(name, side, known, tensor)


def automatic_value(argument: str, known: Known) -> Any:
    """Return the value of one of `automatic_arguments`, from the training part alone."""
    for name in known_names():
        provider, side = find_input(name)
        if argument in provider.arguments(name):
            return provider.sizes(name, side, known)[argument]
    raise UsageError(f"No input decides '{argument}'. {nearest(argument, automatic_arguments())}")
