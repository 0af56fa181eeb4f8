"""What every learning problem offers: batches, a loss, and scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.data.cells import first_of_cells
from tfzoo.data.click_log import ClickLog
from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.discovery import Registry
from tfzoo.errors import UsageError
from tfzoo.problems import PROBLEMS, Problem, register_problem
from tfzoo.tasks.factors import Factors

Tensors = Mapping[str, tf.Tensor]
State = tuple[tf.Tensor, ...]


class Features(tf.Module):
    """What turns ids into the inputs of a model; tasks derive their own.

    Attributes:
        reads_rows: the step is dominated by one large product over rows of the interaction
            matrix, which runs faster outside XLA on a CPU.
        supports_jit: the step can be compiled with XLA at all.
    """

    reads_rows = False
    supports_jit = True


class Scorer(tf.Module):
    """Scores by dense ids; an exported graph is made of it, and evaluation uses it.

    Attributes:
        output_name: what the scores are called in the served answer.
        reads_history: `score_history` works: a user who was never seen can be scored.
        hides_untrained: items without a training interaction are never recommended.
        supports_jit: `score_items` and `score_candidates` can be compiled with XLA.
    """

    output_name: str = "score"
    reads_history: bool = False
    hides_untrained: bool = True
    supports_jit: bool = False

    def refresh(self) -> None:
        """Compute anew what depends on the weights alone, such as all item vectors."""

    def score_pairs(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return the score of each pair: int32 ``[B]``, int32 ``[B]`` to float32 ``[B]``."""
        return tf.gather(self.score_items(user_id), item_id, axis=1, batch_dims=1)

    def score_candidates(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return scores of some items a user: int32 ``[B]``, int32 ``[B, C]`` to float32 ``[B, C]``."""
        return tf.gather(self.score_items(user_id), item_id, axis=1, batch_dims=1)

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the score of every item: int32 ``[B]`` to float32 ``[B, num_items + 1]``."""
        raise TypeError(f"{type(self).__name__} does not score whole catalogues.")

    def score_history(self, history: tf.Tensor) -> tf.Tensor:
        """Return the score of every item for histories.

        Args:
            history: int32 ``[B, L]``, oldest first, right-padded with 0.

        Returns:
            float32 ``[B, num_items + 1]``.
        """
        raise TypeError(f"{type(self).__name__} does not score histories.")

    def factors(self) -> Factors | None:
        """Return the scores as inner products of user queries and item vectors, if they are such."""
        return None


TASKS: Registry[type[Task]] = Registry("task", "tfzoo.tasks")


def register_task(task: type[Task]) -> type[Task]:
    """Put the decorated class into the registry, under its ``name``."""
    TASKS.register(task.name)(task)
    if task.name not in PROBLEMS:
        # A task of another package need not say apart what recipes may say of it.
        register_problem(task)
    return task


@dataclass(frozen=True)
class Needs:
    """What a task needs of a table.

    Attributes:
        clicks: it is a click log, or ratings that can be taken for one.
        rating: each row has a rating.
        text: each row has a text.
        duplicates: what happens to several rows of one user and item where nothing else is said, see
            `tfzoo.data.datasets.duplicates`.
    """

    clicks: bool = False
    rating: bool = False
    text: bool = False
    duplicates: str = "error"


class Task(Problem, ABC):
    """A learning problem; it has no state but its settings. See `Problem` for what else it declares.

    A batch is ``(inputs, labels, weight)``: dicts of tensors with the batch in front, and float32
    weights ``[B]`` that are 0 for padding.

    Attributes:
        place: where it stands among the tasks in lists and pages.
        evaluation: name of the evaluator that measures it, see `tfzoo.evaluation`.
        ranks_lists: its test cases are users, for each of whom items are ranked.
        maximize: whether more of `monitor` is better.
        needs: what its tables have.
        model_inputs: the names of its models' inputs, sorted and with blanks between them, as a pattern;
            empty for any.
        model_outputs: those of the outputs.
        reads_history: its models recommend to someone of whom a history alone is known.
    """

    place: ClassVar[int] = 100
    evaluation: ClassVar[str]
    ranks_lists: ClassVar[bool] = False
    maximize: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs()
    model_inputs: ClassVar[str] = ""
    model_outputs: ClassVar[str] = ""
    reads_history: ClassVar[bool] = False

    @property
    def asks_every_event(self) -> bool:
        """Whether each event of a history is a test case, items that occurred before among the ranked."""
        return False

    @property
    def examples_of(self) -> str:
        """Whose interactions an example holds all of, ``user`` or ``item``; empty where it is one of them."""
        return ""

    @property
    def reads_all_parts(self) -> bool:
        """Whether `features` and `prepare` read interactions beyond those of the split."""
        return True

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings or self.Settings()

    @property
    @abstractmethod
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""

    def maximizes(self, metric: str) -> bool:
        """Tell whether more of a metric is better."""
        return self.maximize

    @property
    @abstractmethod
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""

    def table(self, data: Interactions | ClickLog) -> Any:
        """Return the table that the task learns from.

        Args:
            data: what was read, filtered.

        Raises:
            UsageError: the task cannot learn from such data.
        """
        if isinstance(data, ClickLog):
            raise UsageError(
                f"'{data.name}' is a click log, but models of the task '{self.name}' learn from users' "
                "interactions with items. Models of click logs: tfzoo list --task click."
            )
        return data

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where the data lacks what the task needs."""

    def check_split(self, split: Split) -> None:
        """Raise `DataError` where a part cannot be trained on or measured, before anything is written."""

    def builder_arguments(self, train: Interactions) -> dict[str, Any]:
        """Return the values of `automatic`, from the training part alone."""
        return {}

    def matrix(self, train: Interactions) -> sparse.csr_matrix:
        """Return what closed forms are solved from, see `tfzoo.models.registry.ModelInfo`.

        Returns:
            1 for every distinct interaction, float32 ``[num_users + 1, num_items + 1]``.
        """
        return as_matrix(train, np.ones(len(train), np.float32))

    @abstractmethod
    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> Any:
        """Prepare what turns ids into the inputs of ``model``.

        Args:
            model: the model.
            split: the parts; validation and test may be used for what the settings allow only.
            interactions: the whole data set.
        """

    def prepare(self, model: keras.Model, split: Split, interactions: Interactions) -> None:
        """Set initial weights that depend on the data, before training starts."""

    def pilot(self) -> dict[str, Any]:
        """Return builder arguments for a first training that finds out others; none for no such run."""
        return {}

    def after_pilot(self, model: keras.Model) -> dict[str, Any]:
        """Return the builder arguments that the first training, at its best epoch, has found."""
        return {}

    @property
    def shared_inputs(self) -> frozenset[str]:
        """Names of inputs that all examples of a batch share, so that they are not divided among devices."""
        return frozenset()

    def num_examples(self, features: Any, train: Interactions) -> int:
        """Number of training examples of an epoch."""
        return len(train)

    def steps_per_epoch(self, features: Any, train: Interactions, batch_size: int) -> int:
        """Number of batches of an epoch."""
        return math.ceil(self.num_examples(features, train) / batch_size)

    def batches_differ(self, features: Any, batch_size: int) -> bool:
        """Whether batches differ in shape, so that no two can be stacked and XLA would compile each anew."""
        return False

    def floats_per_example(self, model: keras.Model) -> int:
        """Numbers of an example's inputs; they decide how many steps one call of the program runs."""
        return sum(math.prod(tensor.shape[1:]) for tensor in model.inputs)

    @abstractmethod
    def train_dataset(self, features: Any, train: Interactions, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless epochs of training batches, several batches an element.

        Args:
            features: from `features`.
            train: the training part.
            plan: batch size, order, and batches an element, ``S`` below.

        Returns:
            A dataset of ``(inputs, labels, weight [S, B])``, all tensors with ``[S, ...]`` in
            front. An epoch is ``ceil(steps_per_epoch / S)`` elements; batches past its end have
            weight 0.
        """

    def keras_dataset(
        self,
        model: keras.Model,
        split: Split,
        interactions: Interactions | None = None,
        *,
        batch_size: int = 512,
        seed: int = 0,
    ) -> tuple[tf.data.Dataset, int]:
        """Return batches for Keras' own ``model.fit(dataset, steps_per_epoch=steps, shuffle=False)``.

        They are those that `tfzoo train` learns from, drawn and shuffled anew in each epoch. The last batch
        of an epoch is filled up with examples of weight 0.

        Args:
            model: the model, whose inputs say what a batch holds.
            split: the parts; examples are those of the training part.
            interactions: the whole data set, where the settings let inputs see all of it; None for the
                training part.
            batch_size: examples a batch.
            seed: of order and draws.

        Returns:
            An endless dataset of ``(inputs, labels, weight [B])``, labels by the name of the output that they
            are compared with; and the number of batches of an epoch.

        Raises:
            UsageError: the loss of such models needs more than outputs and labels, or another batch.
        """
        features = self.features(model, split, split.train if interactions is None else interactions)
        if self.batches_differ(features, batch_size):
            raise UsageError(
                f"Batches of {batch_size} share rows, which Keras' fit cannot read; take smaller ones."
            )
        plan = BatchPlan(batch_size, seed)
        blocks = self.train_dataset(features, split.train, plan)
        names = sorted(blocks.element_spec[1])
        outputs = {name: name for name in names}
        if len(names) == 1 and names[0] == "label" and len(model.output) == 1:
            outputs = {"label": next(iter(model.output))}
        if not names or not set(outputs.values()) <= set(model.output):
            raise UsageError(
                f"The loss of the task '{self.name}' is no function of outputs and labels alone, so that "
                "Keras' fit cannot learn by it. Train with tfzoo.fit, or write batches of your own."
            )

        def batch(inputs: Tensors, labels: Tensors, weight: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            first = {name: value[0] for name, value in inputs.items()}
            return first, {outputs[name]: value[0] for name, value in labels.items()}, weight[0]

        return blocks.map(batch), self.steps_per_epoch(features, split.train, batch_size)

    def loss(self) -> keras.Loss | None:
        """Return the loss for `keras.Model.compile`; None where `compute_loss` does without."""
        return None

    def initial_state(self, model: keras.Model, batch_size: int) -> State:
        """Return what one step hands to the next, at the start of an epoch."""
        return ()

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the scalar loss of one batch, penalties of the model included, and the next state."""
        outputs = model(inputs, training=True)
        loss = model.compute_loss(inputs, labels, outputs, weight, training=True)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # Keras divides by their number, as if all had equal parts; the trainer weighs their parts itself.
        return loss * replicas if replicas > 1 else loss, state

    def save_vocabularies(self, split: Split, interactions: Interactions, folder: Path) -> None:
        """Write what gives raw ids and values their meaning for the model.

        Args:
            split: what the final model was trained on.
            interactions: the whole data set.
            folder: where to write.
        """
        interactions.save_vocabularies(folder)

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Change the trained weights where the task asks for it, before the model is saved."""

    def item_vectors(self, model: keras.Model, described: Interactions) -> NDArray[np.float32]:
        """Return the item tower's vectors of items that training need not know.

        Args:
            model: a trained model.
            described: interactions with the items, by users of the training data, whose vocabulary
                they have.

        Returns:
            float32 ``[num_items, width]``, in the order of the items' vocabulary.

        Raises:
            UsageError: the model learns a vector for each item and cannot make others.
        """
        raise UsageError(
            f"'{model.name}' learns a vector for each item and cannot make one of interactions. Give the "
            "vectors of new items in the file of the items."
        )

    @abstractmethod
    def scorer(self, model: keras.Model, features: Any) -> Any:
        """Return what scores pairs, catalogues or histories with the weights of ``model``."""


def distinct_rows(interactions: Interactions) -> NDArray[np.int64]:
    """Return the row number of the first interaction of each (user, item), sorted by user, then item."""
    return first_of_cells(interactions.user_id, interactions.item_id, interactions.num_items + 1)


def interaction_arrays(interactions: Interactions) -> tuple[NDArray, NDArray]:
    """Return distinct (user, item) pairs, sorted by user, then item."""
    rows = distinct_rows(interactions)
    return interactions.user_id[rows], interactions.item_id[rows]


def as_matrix(interactions: Interactions, values: NDArray[np.float32]) -> sparse.csr_matrix:
    """Return one value an interaction as a matrix ``[num_users + 1, num_items + 1]``.

    Of several interactions of one user with one item the first counts.
    """
    rows = distinct_rows(interactions)
    cells = interactions.user_id[rows], interactions.item_id[rows]
    return sparse.csr_matrix((values[rows], cells), (interactions.num_users + 1, interactions.num_items + 1))
