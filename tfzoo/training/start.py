"""What a training goes on from: weights and optimizer of an earlier run, in tables that may have grown."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.errors import TfzooError
from tfzoo.layers.item_table import ItemTable
from tfzoo.training.averages import array, assign
from tfzoo.training.checkpoint import Arrays

WEIGHTS = "model.weights.h5"
# Of the optimizer itself where it is wrapped for loss scaling, else of the only one.
SLOTS = ("optimizer/inner_optimizer/vars", "optimizer/vars")
# What Keras calls the variable of a learning rate that no schedule gives.
RATE = "learning_rate"


@dataclass(frozen=True)
class Start:
    """What a training goes on from.

    Attributes:
        builder: arguments that the earlier model was built with.
        found: those among them that a first training of the earlier model had found out.
        weights: of the earlier model, in the order of `keras.Model.weights`.
        slots: of its optimizer, see `read_slots`; None where it is not to go on.
        rows: what is trained on, over vocabularies that may have grown.
    """

    builder: Mapping[str, Any]
    found: Mapping[str, float]
    weights: Arrays
    slots: Arrays | None
    rows: Interactions

    def give_weights(self, model: keras.Model, *, solved: bool) -> None:
        """Give a model that was just built the earlier weights; rows of new ids stay as they were built.

        Args:
            model: of the same builder arguments, for as many users and items or more.
            solved: weights that are not trained were worked out from the data, and stay.

        Raises:
            TfzooError: the weights are not those of such a model.
        """
        trained = {id(weight) for weight in model.trainable_weights}
        kept = [not solved or id(weight) in trained for weight in model.weights]
        masked = {id(table) for table in _masked_tables(model)}
        _grow_into(model.weights, self.weights, kept, [id(weight) in masked for weight in model.weights])

    def give_slots(self, model: keras.Model) -> None:
        """Give the optimizer of a compiled model the earlier state; that of new rows is as it was made.

        The learning rate stays that of the compiled model.

        Args:
            model: compiled with an optimizer of the same kind as the earlier one, if there are slots.

        Raises:
            TfzooError: the slots are not those of such an optimizer.
        """
        if self.slots is None:
            return
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        variables = [variable for variable in optimizer.variables if variable.name != RATE]
        tables = _masked_tables(model)
        apart = [any(_is_slot_of(variable, table) for table in tables) for variable in variables]
        _grow_into(variables, self.slots, [True] * len(variables), apart)


def _masked_tables(model: keras.Model) -> list[keras.Variable]:
    """Return the tables whose last row belongs to no item, and stays the last when items are added."""
    layers = model._flatten_layers()
    return [layer.table for layer in layers if isinstance(layer, ItemTable) and layer.mask_row]


def _is_slot_of(variable: keras.Variable, weight: keras.Variable) -> bool:
    # Keras names what an optimizer keeps of a weight by the path of the weight.
    named = variable.name.startswith(f"{weight.path.replace('/', '_')}_")
    return named and variable.shape == weight.shape


def grown(old: NDArray, fresh: NDArray, *, last_apart: bool = False) -> NDArray | None:
    """Return an array with old values in its first rows and columns, and fresh ones behind them.

    Args:
        old: values that are kept.
        fresh: of the shape of the result.
        last_apart: the last row of ``old`` becomes the last of the result.

    Returns:
        The array; None where ``fresh`` is smaller than ``old``, or has other dimensions.
    """
    if old.ndim != fresh.ndim or any(o > f for o, f in zip(old.shape, fresh.shape, strict=True)):
        return None
    found = fresh.copy()
    parts = [(old[:-1], found[:-1]), (old[-1:], found[-1:])] if last_apart else [(old, found)]
    for values, into in parts:
        into[tuple(slice(size) for size in values.shape)] = values
    return found


def _grow_into(variables: list[Any], arrays: Arrays, kept: list[bool], apart: list[bool]) -> None:
    if len(variables) != len(arrays):
        raise TfzooError(
            f"The earlier model and its optimizer have {len(arrays)} arrays, those to train {len(variables)}."
        )
    for variable, old, keep, last_apart in zip(variables, arrays, kept, apart, strict=True):
        if not keep:
            continue
        found = grown(old, array(variable), last_apart=last_apart)
        if found is None:
            raise TfzooError(
                f"The weights '{variable.path}' have the shape {tuple(variable.shape)}, and had {old.shape}: "
                "they do not grow with the ids."
            )
        assign([variable], [found])


def read_slots(path: Path, *, scheduled: bool) -> Arrays | None:
    """Return the step of the optimizer that a model was saved with, and what it kept for each weight.

    Args:
        path: of a model in Keras' own format.
        scheduled: a schedule gave the learning rate, which else is a variable behind the step.

    Returns:
        The arrays, without the learning rate; None where nothing is kept for a weight.
    """
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
        group: Any = next((file[name] for name in SLOTS if name in file), {})
        found = [np.asarray(group[str(number)]) for number in range(len(group))]
    slots = found if scheduled else found[:1] + found[2:]
    return slots if len(slots) > 1 else None
