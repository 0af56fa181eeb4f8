"""What models of a user and an item are asked with: ids, rows of the matrix, side features."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.inputs.base import NONE, SIDES, Case, Input, Known, make_input
from tfzoo.layers import IdEmbedding
from tfzoo.tasks.base import Features, Tensors

if TYPE_CHECKING:
    from typing_extensions import Self

# Stands before the names of inputs that several pairs of a batch share.
SHARED = "shared_"

Providers = Mapping[str, Input]


class PairFeatures(Features):
    """Turns user and item ids into the inputs that a model asks for by name, see `tfzoo.inputs`.

    Args:
        inputs: the model's inputs, or their names alone, which checks no size.
        known: what fills them; of a table alone, its rows.

    Attributes:
        ids_per_call: for how many ids a tower is applied at once, which bounds the memory.
        providers: by name of the input, what fills it.
        row_sides: sides whose tower reads rows and no ids, so that pairs can share its vectors.
        shared_from: batches of so many pairs should hold a row that several pairs read once; infinite
            without `row_sides`.
    """

    ids_per_call = 2048

    def __init__(
        self, inputs: Collection[str] | Sequence[keras.KerasTensor], known: Known | Interactions
    ) -> None:
        super().__init__()
        known = known if isinstance(known, Known) else Known((known,))
        tensors = {one if isinstance(one, str) else one.name: one for one in inputs}
        self.names = tuple(tensors)
        self.num_ids = {"user": known.train.num_users, "item": known.train.num_items}
        self.providers: dict[str, Input] = {
            name: make_input(name, known, None if isinstance(tensor, str) else tensor)
            for name, tensor in tensors.items()
        }
        self.reads_rows = any(provider.reads_rows for provider in self.providers.values())
        self.supports_jit = all(provider.supports_jit for provider in self.providers.values())
        self.row_sides = tuple(
            side for side in SIDES if f"{side}_row" in tensors and f"{side}_id" not in tensors
        )
        # In smaller batches few pairs share a row, and one call can run several steps.
        self.shared_from = min((self.num_ids[side] for side in self.row_sides), default=math.inf)

    @classmethod
    def of(cls, model: keras.Model, source: Known | Interactions) -> Self:
        """Return the features that ``model`` asks for.

        Raises:
            UsageError: nothing fills one of its inputs, or it was built for data of another size.
        """
        return cls(model.inputs, source)

    def in_memory(self) -> Providers:
        """Return what fills the inputs in a pipeline, see `Input.in_memory`."""
        return {name: provider.in_memory() for name, provider in self.providers.items()}

    def inputs(self, user_id: tf.Tensor, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the model's inputs for pairs of ids, int32 of any one shape, with all that is known."""
        return {**self.side("user", user_id), **self.side("item", item_id)}

    def train_inputs(
        self,
        user_id: tf.Tensor,
        item_id: tf.Tensor,
        row: tf.Tensor | None = None,
        *,
        leave_out: bool = True,
        providers: Providers | None = None,
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for training examples.

        Args:
            user_id: int32 of any shape.
            item_id: int32, the same shape.
            row: int32, the same shape, see `Case`.
            leave_out: whether what would tell the answer is left out.
            providers: `in_memory`; None for those of an export.
        """
        case = Case(user_id, item_id, row)
        return {
            name: provider.train(case) if leave_out else provider.of(case.ids(provider.side))
            for name, provider in (providers or self.providers).items()
        }

    def distinct_inputs(
        self,
        user_id: tf.Tensor,
        item_id: tf.Tensor,
        *,
        alone: tf.Tensor | None,
        providers: Providers | None = None,
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for pairs of ids, with a row that several pairs share once.

        A tower over rows costs far more than a look-up of its vector; see `pair_vectors`.

        Args:
            user_id: int32 ``[B]``.
            item_id: int32 ``[B]``.
            alone: bool ``[B]``, the pairs that are left out of their own two rows, which nobody
                shares then; None for none.
            providers: `in_memory`; None for those of an export.

        Returns:
            For each of `row_sides` its inputs ``[R, ...]``, `SHARED` before their names, and
            ``<side>_place`` int32 ``[B]``, which of them is the pair's. For another side its inputs
            ``[B, ...]``.
        """
        ids = {"user": user_id, "item": item_id}
        other = {"user": item_id, "item": user_id}
        inputs: dict[str, tf.Tensor] = {}
        for side in SIDES:
            masked = None if alone is None else tf.where(alone, other[side], NONE)
            if side not in self.row_sides:
                inputs.update(self.side(side, ids[side], masked, providers=providers))
                continue
            key, count = ids[side], self.num_ids[side] + 1
            if alone is not None:
                # Its place among the pairs, above all ids: nobody has the same key.
                key = tf.where(alone, count + tf.range(tf.size(key)), key)
            distinct, place = tf.unique(key)
            first = tf.math.unsorted_segment_min(tf.range(tf.size(key)), place, tf.size(distinct))
            masked = None if masked is None else tf.gather(masked, first)
            found = self.side(side, tf.gather(ids[side], first), masked, providers=providers)
            inputs.update({f"{SHARED}{name}": value for name, value in found.items()})
            inputs[f"{side}_place"] = place
        return inputs

    def side(
        self,
        side: str,
        ids: tf.Tensor,
        masked: tf.Tensor | None = None,
        *,
        providers: Providers | None = None,
    ) -> dict[str, tf.Tensor]:
        """Return the inputs of one tower.

        Args:
            side: ``"user"`` or ``"item"``.
            ids: int32 of any shape.
            masked: the same shape, the id of the other side whose interaction is left out, -1 for none;
                None leaves nothing out.
            providers: `in_memory`; None for those of an export.
        """
        found = {}
        for name, provider in (providers or self.providers).items():
            if provider.side == side:
                pair = (ids, masked) if side == "user" else (masked, ids)
                found[name] = provider.of(ids) if masked is None else provider.train(Case(*pair))
        return found


def shares_rows(inputs: Collection[str]) -> bool:
    """Whether inputs of these names are those of `PairFeatures.distinct_inputs`."""
    return any(f"{side}_place" in inputs for side in SIDES)


def pair_vectors(model: keras.Model, inputs: Tensors, *, training: bool) -> dict[str, tf.Tensor]:
    """Return the vectors of pairs whose rows are shared.

    Args:
        model: a model with a ``user_tower`` and an ``item_tower``.
        inputs: of `PairFeatures.distinct_inputs`.
        training: whether dropout is on.

    Returns:
        ``user_vector`` and ``item_vector``, float32 ``[B, w]``.
    """
    vectors = {}
    for side in SIDES:
        tower, place = model.get_layer(f"{side}_tower"), inputs.get(f"{side}_place")
        before = "" if place is None else SHARED
        own = {tensor.name: inputs[f"{before}{tensor.name}"] for tensor in tower.inputs}
        vector = tower(own, training=training)
        vectors[f"{side}_vector"] = vector if place is None else tf.gather(vector, place)
    return vectors


def compiled_tower(model: keras.Model, features: PairFeatures, side: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the tower of one side as a compiled function of dense ids, int32 ``[B]``."""
    tower = model.get_layer(f"{side}_tower")
    function = tf.function(lambda ids: tower(features.side(side, ids), training=False))
    return function.get_concrete_function(tf.TensorSpec([None], tf.int32))


def all_vectors(tower: Callable[[tf.Tensor], tf.Tensor], features: PairFeatures, side: str) -> tf.Tensor:
    """Return the vector of every id, row 0 included."""
    rows, step = features.num_ids[side] + 1, features.ids_per_call
    parts = [tower(tf.range(first, min(first + step, rows))) for first in range(0, rows, step)]
    return tf.concat(parts, axis=0)


def fill_unseen_ids(model: keras.Model, train: Interactions) -> None:
    """Give ids without training data the average row of each table in the towers, see `IdEmbedding`."""
    counts = {"user": train.user_counts(), "item": train.item_counts()}
    for side in SIDES:
        for layer in model.get_layer(f"{side}_tower").layers:
            if isinstance(layer, IdEmbedding):
                layer.fill_unseen(counts[side])
