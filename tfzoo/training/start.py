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
from tfzoo.training.averages import array, assign
from tfzoo.training.checkpoint import Arrays

WEIGHTS = "model.weights.h5"
SLOTS = "optimizer/vars"


@dataclass(frozen=True)
class Start:
    """What a training goes on from.

    Attributes:
        builder: arguments that the earlier model was built with.
        found: those among them that a first training of the earlier model had found out.
        weights: of the earlier model, in the order of `keras.Model.weights`.
        slots: variables of its optimizer; None where none were kept.
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
        _grow_into(model.weights, self.weights, kept)

    def give_slots(self, model: keras.Model) -> bool:
        """Give the optimizer of a compiled model the earlier state; that of new rows is as it was made.

        Returns:
            Whether there was a state that fits.
        """
        if self.slots is None or model.optimizer is None:
            return False
        variables = model.optimizer.variables
        if len(variables) != len(self.slots) or len(variables) <= 2:
            # Another optimizer, or one that remembers no more than its step.
            return False
        _grow_into(variables, self.slots, [True] * len(variables))
        return True


def grown(old: NDArray, fresh: NDArray) -> NDArray | None:
    """Return ``fresh`` with ``old`` in its first rows and columns; None where it is smaller than that."""
    if old.ndim != fresh.ndim or any(o > f for o, f in zip(old.shape, fresh.shape, strict=True)):
        return None
    found = fresh.copy()
    found[tuple(slice(size) for size in old.shape)] = old
    return found


def _grow_into(variables: list[Any], arrays: Arrays, kept: list[bool]) -> None:
    if len(variables) != len(arrays):
        raise TfzooError(f"The earlier model has {len(arrays)} weights, the one to train {len(variables)}.")
    for variable, old, keep in zip(variables, arrays, kept, strict=True):
        if not keep:
            continue
        found = grown(old, array(variable))
        if found is None:
            raise TfzooError(
                f"The weights '{variable.path}' have the shape {tuple(variable.shape)}, and had {old.shape}: "
                "they do not grow with the ids."
            )
        assign([variable], [found])


def read_slots(path: Path) -> Arrays | None:
    """Return the variables of the optimizer that a model was saved with; None where it was without.

    Args:
        path: of a model in Keras' own format.
    """
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
        if SLOTS not in file:
            return None
        group = file[SLOTS]
        return [np.asarray(group[str(number)]) for number in range(len(group))]
