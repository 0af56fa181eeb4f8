"""What a model may bring beside its builder: a training step of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import keras
    from scipy import sparse

Logs = dict[str, Any]


class Batch(NamedTuple):
    """Examples of one step.

    Attributes:
        inputs: name -> tensor with the batch in front, what the model reads.
        labels: the same, what it is compared with.
        weight: float32 ``[B]``, 0 for padding.
        number: int64 ``[]``, which step of its phase this is since training began, to draw by.
    """

    inputs: Mapping[str, Any]
    labels: Mapping[str, Any]
    weight: Any
    number: Any


@dataclass(frozen=True)
class Phase:
    """One part of every epoch.

    Attributes:
        name: what the step is told, and what its logs are looked up by.
        batches: ``train`` for the batches of the task, ``users`` or ``items`` for shuffled dense ids
            (``user_id`` or ``item_id`` int32 ``[B]``) of those with a training interaction, ``all-items``
            for those of every item; None where the phase is called once an epoch, eagerly, without a batch.
        passes: times that the epoch goes through the batches in this phase.
        compiled: False runs the step eagerly, batch by batch.
        batch_size: of ids; None for that of the recipe.
        epochs: the phase belongs to so many first epochs alone, such as pre-training; None for all.
    """

    name: str = "train"
    batches: str | None = "train"
    passes: int = 1
    compiled: bool = True
    batch_size: int | None = None
    epochs: int | None = None


class StepSettings(BaseModel):
    """Base of the settings of a step, the group ``step`` of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tools(Protocol):
    """What the trainer offers to a step.

    Attributes:
        model: the model that is trained.
        train: the training part, `tfzoo.data.interactions.Interactions`.
        seed: fixes all that is drawn.
        batch_size: examples a batch of the task.
    """

    model: keras.Model
    train: Any
    seed: int
    batch_size: int

    def optimizer(self, name: str, variables: Sequence[keras.Variable], **changes: Any) -> None:
        """Make an optimizer for some variables, which checkpoints keep.

        Args:
            name: what `minimize` calls it by.
            variables: what it changes.
            **changes: training settings that replace the recipe's, such as ``learning_rate=1e-4``.
        """

    def minimize(self, name: str, loss: Callable[[], Any]) -> Any:
        """Take one step of an optimizer down the gradient of a loss.

        Args:
            name: of the optimizer.
            loss: returns a scalar, or a tuple that begins with it.

        Returns:
            What ``loss`` has returned.
        """

    def task_loss(self, batch: Batch) -> Any:
        """Return the scalar loss that the task has for the batch, penalties of the model included."""

    def rows(self, matrix: sparse.csr_matrix) -> Callable[[Any], Any]:
        """Return a function from row numbers int32 ``[B]`` to dense rows float32 ``[B, width]``."""


class Step:
    """What a batch does to the weights; a model registers a subclass with ``register_model(step=...)``.

    All that training changes is a variable: of the model, of an optimizer, or of `state`, so that a
    checkpoint holds it. What is random is drawn from the seed and `Batch.number`. Compiled phases are
    traced once; their code uses `keras.ops` and no Python state.

    Attributes:
        Settings: the group ``step`` of a recipe.
        phases: the parts of an epoch, in order; a step may set its own in ``__init__``.
        logs: name of a phase -> names of what `step` returns in it, averaged over the epoch. The first
            of all is what the progress bar shows as the loss.
        refuses: why several devices cannot share its batches, in half a sentence.
    """

    Settings: ClassVar[type[StepSettings]] = StepSettings
    phases: Sequence[Phase] = (Phase(),)
    logs: Mapping[str, Sequence[str]] = {"train": ("loss",)}
    refuses: ClassVar[str] = "its step changes the weights in a way of its own"

    def __init__(self, tools: Tools, settings: Any) -> None:
        self.tools, self.settings = tools, settings

    def state(self) -> Mapping[str, Sequence[keras.Variable]]:
        """Return the variables beside those of the model and of optimizers, in named groups."""
        return {}

    def on_epoch_start(self, epoch: int) -> None:
        """Prepare an epoch, counted from 0, such as by freezing a copy; runs eagerly."""

    def step(self, phase: str, batch: Batch | None) -> Logs:
        """Change the weights by one batch, and return the scalars that `logs` names for the phase."""
        raise TypeError(f"{type(self).__name__} has no step for the phase '{phase}'.")
