"""Typed settings of a run; an unknown key or a wrong type is one clear error."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tfzoo.errors import UsageError, nearest

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
LONGEST_NAME = 80
LONGEST_SHOWN = 200
WITH_MOMENTUM = ("sgd", "rmsprop", "gru4rec-adagrad")
LAZY = ("lazy-adam", "lazy-adagrad")


class Settings(BaseModel):
    """Base of all groups of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FilterSettings(Settings):
    """Which interactions are used at all.

    Attributes:
        min_rating: keep ratings of at least this much; for the tasks that learn from implicit
            feedback it says which ratings are positive. null keeps all, as does data without
            ratings.
        min_user_interactions: then drop users with fewer interactions.
        min_item_interactions: then drop items with fewer interactions.
        iterate: repeat both until nothing more is dropped.
    """

    min_rating: float | None = None
    min_user_interactions: Annotated[int, Field(ge=0)] = 0
    min_item_interactions: Annotated[int, Field(ge=0)] = 0
    iterate: bool = False


class SplitSettings(Settings):
    """How the data is divided.

    Attributes:
        kind: ``random`` (over all interactions), ``k-fold``, ``given`` (published files),
            ``chronological`` (each user's interactions in time order), ``per-user`` (each
            user's interactions at random), ``leave-out`` (each user's last ones),
            ``strong-generalization`` (held-out users) or ``sessions`` (the latest sessions).
        ratios: shares of train, validation and test of a random, chronological or per-user split.
        folds: number of folds of a k-fold split.
        fold: the test fold, counted from 0; null: the seed chooses it, so that seeds
            ``0..folds - 1`` are the folds of one partition, the next ones of another.
        name: name of a published split, such as ``u1`` of ml-100k.
        validation: share of the training rows (or sessions) that a k-fold, given or sessions
            split holds out.
        leave: interactions a user that a leave-out split tests on.
        negatives: items drawn a user for ranking among them alone; null ranks all items.
        held_out_users: users for test, and as many for validation, under strong generalisation.
        test_seconds: a sessions split tests on the sessions that end so shortly before the last event.
        cold: ``keep`` or ``drop`` validation and test rows whose user or item is not in train.
        oversample: repeat every interaction before the split. Above 1 test rows leak into
            training; it exists to measure that leak.
    """

    kind: Literal[
        "random",
        "k-fold",
        "given",
        "chronological",
        "per-user",
        "leave-out",
        "strong-generalization",
        "sessions",
    ] = "random"
    ratios: tuple[float, float, float] = (0.7, 0.15, 0.15)
    folds: Annotated[int, Field(ge=2)] = 5
    fold: Annotated[int, Field(ge=0)] | None = None
    name: str | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    leave: Count = 1
    negatives: Count | None = None
    held_out_users: Count | None = None
    test_seconds: Count = 86_400
    cold: Literal["keep", "drop"] = "keep"
    oversample: Count = 1


class TrainingSettings(Settings):
    """How the weights are found.

    Attributes:
        optimizer: name of a Keras optimizer, or ``gru4rec-adagrad``, see `GRU4RecAdagrad`, or
            ``lazy-adam`` or ``lazy-adagrad``, which touch only the rows of a table that a batch
            looks up, see `LazyAdam` and `LazyAdagrad`.
        learning_rate: step size at the start.
        momentum: of ``sgd``, ``rmsprop`` and ``gru4rec-adagrad``.
        schedule: ``constant``, or ``cosine`` from the learning rate to 0 over all epochs.
        weight_decay: decoupled weight decay of the optimizer, 0 for none; not with the lazy ones.
        batch_size: examples a step.
        epochs: largest number of epochs.
        patience: epochs without a better validation figure before training stops; null for never.
        restore_best: end with the weights of the best epoch rather than the last.
        validate_every: epochs between two validations.
        refit: once validation has chosen the epoch, train anew on train and validation together
            for as many epochs; the test figures are of that model.
        average: momentum of the running average of the weights; the averaged weights are
            validated, kept and exported. 0 for none.
        steps_per_call: steps that one call of the compiled program runs; null to choose. It is 1
            where the batches differ in shape, as those of pairs that share rows of the matrix do.
        jit_compile: compile the training step with XLA; null for wherever it helps. It never is
            where the batches differ in shape.
        checkpoint_seconds: least time between two checkpoints.
    """

    optimizer: Literal[
        "adam",
        "adamw",
        "sgd",
        "adagrad",
        "rmsprop",
        "nadam",
        "gru4rec-adagrad",
        "lazy-adam",
        "lazy-adagrad",
    ] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Fraction = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: Count = 512
    epochs: Count = 100
    patience: Count | None = 10
    restore_best: bool = True
    validate_every: Count = 1
    refit: bool = False
    average: Fraction = 0.0
    steps_per_call: Count | None = None
    jit_compile: bool | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 5.0

    @model_validator(mode="after")
    def _check_momentum(self) -> TrainingSettings:
        if self.momentum and self.optimizer not in WITH_MOMENTUM:
            known = ", ".join(WITH_MOMENTUM)
            raise ValueError(f"only {known} take a momentum; optimizer is {self.optimizer!r}")
        return self

    @model_validator(mode="after")
    def _check_weight_decay(self) -> TrainingSettings:
        if self.weight_decay and self.optimizer in LAZY:
            raise ValueError(
                f"{self.optimizer} takes no weight_decay, which would charge rows that no batch looks up; "
                "use adamw, or charge looked-up rows by the model's own penalty, such as lookup_l2"
            )
        return self


class PretrainingSettings(Settings):
    """How the parts of a model are trained before it.

    Attributes:
        alpha: share of the first part in the merged output.
        training: how each part is trained, always to the last epoch.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    training: TrainingSettings = TrainingSettings(epochs=20)


class Reported(Settings):
    """Figures that a paper prints.

    Attributes:
        source: table or section they stand in.
        metrics: metric name -> value.
        remark: why ours differ, where that is known.
        comparable: the figures are of the same protocol and metric as ours; if not, they are
            printed beside ours without a verdict.
    """

    source: str
    metrics: dict[str, float]
    remark: str = ""
    comparable: bool = True


class Recipe(Settings):
    """Everything that fixes a run but its data and its seed.

    Attributes:
        model: name of a registered model.
        name: ``paper``, ``tuned`` or the recipe's own.
        description: one line on where the settings come from.
        builder: the builder's keyword arguments; ``auto`` where the task works a value out
            from the training part.
        filter: which interactions are used.
        split: how the data is divided.
        task: settings of the model's task.
        training: how the weights are found.
        pretraining: how the model's parts are trained first; null to start from random weights.
        reported: what the paper prints for this model and data set, if it does.
    """

    model: str
    name: str
    description: str = ""
    builder: dict[str, Any] = {}
    filter: FilterSettings = FilterSettings()
    split: SplitSettings = SplitSettings()
    task: dict[str, Any] = {}
    training: TrainingSettings = TrainingSettings()
    pretraining: PretrainingSettings | None = None
    reported: Reported | None = None

    @field_validator("model", "name")
    @classmethod
    def _check_part_of_a_path(cls, value: str) -> str:
        return part_of_a_path(value)


def part_of_a_path(value: str) -> str:
    """Return a name that becomes a part of the name of a folder.

    Raises:
        ValueError: it could lead elsewhere, or is too long for a folder.
    """
    if len(value) > LONGEST_NAME or not value.isprintable() or set(value) & set("/\\"):
        raise ValueError(
            f"a name of at most {LONGEST_NAME} letters without slashes and line breaks is expected, since "
            "folders are named after it"
        )
    return value


def parse(kind: type[BaseModel], values: dict[str, Any], where: str) -> Any:
    """Validate ``values`` as settings of ``kind``.

    Args:
        kind: a settings class.
        values: what was read from a file or the command line.
        where: what to name in messages, such as the file.

    Returns:
        An instance of ``kind``.

    Raises:
        UsageError: every wrong key and value, one a line, with the nearest valid key.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [explain(kind, problem) for problem in error.errors(include_url=False)]
        raise UsageError(f"{where}: " + "; ".join(problems)) from None


def explain(kind: type[BaseModel], problem: Any) -> str:
    """Return one line on a problem that `pydantic` has found in the values for ``kind``."""
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        group: Any = kind
        for part in path[:-1]:
            annotation = group.model_fields[part].annotation
            group = next((option for option in get_args(annotation) if option is not type(None)), annotation)
        inside = f" in '{'.'.join(path[:-1])}'" if path[:-1] else ""
        return f"unknown key '{path[-1]}'{inside}. {nearest(path[-1], group.model_fields)}"
    place = f"'{'.'.join(path)}': " if path else ""
    return f"{place}{problem['msg']}. Received {_shown(problem['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
