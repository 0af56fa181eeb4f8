"""Typed settings of a run; an unknown key or a wrong type is one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tfzoo.errors import UsageError, nearest
from tfzoo.training.search import Budget, Range

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
LONGEST_NAME = 80
LONGEST_SHOWN = 200
WITH_MOMENTUM = ("sgd", "rmsprop", "gru4rec-adagrad")
LAZY = ("lazy-adam", "lazy-adagrad")
# What a protocol says of a model that was trained anew on train and validation together.
REFITTED = ", refitted with validation"

# What a recipe says of itself, without which a run is the same.
UNCOUNTED = ("reported", "description", "leaks", "changes", "search", "budget")

ADDED = "added_later"
WORKED_OUT = "worked_out"


def added(default: Any) -> Any:
    """Declare a setting that older recipes, records and checkpoints do not have.

    At its default a run is what it was before there was the setting, and so is its fingerprint.
    """
    return Field(default=default, json_schema_extra={ADDED: True})


def is_number(annotation: Any) -> bool:
    """Tell whether a type takes numbers and no truth values."""
    options = {annotation, *get_args(annotation)}
    return bool(options & {int, float}) and bool not in options


def canonical(settings: BaseModel) -> dict[str, Any]:
    """Return settings as JSON values, without those that were `added` later and have their default.

    Nor are those there from which others are worked out.
    """
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(field.json_schema_extra, dict) and WORKED_OUT in field.json_schema_extra:
            del values[name]
        elif isinstance(field.json_schema_extra, dict) and ADDED in field.json_schema_extra:
            if value == field.get_default(call_default_factory=True):
                del values[name]
        elif isinstance(value, BaseModel):
            values[name] = canonical(value)
    return values


class Settings(BaseModel):
    """Base of all groups of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``true`` where a number is expected, for which Python takes it as 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and is_number(annotation):
            raise ValueError("a number is expected")
        return value


class FilterSettings(Settings):
    """Which interactions are used at all.

    Attributes:
        min_rating: keep ratings of at least this much; for the tasks that learn from implicit
            feedback it says which ratings are positive. null keeps all, as does data without
            ratings.
        min_rating_of: lowest and highest rating of the scale that `min_rating` is of; on data of another
            scale the threshold moves to the same place of that. null for a threshold as it is.
        min_user_interactions: then drop users with fewer interactions.
        min_item_interactions: then drop items with fewer interactions.
        iterate: repeat both until nothing more is dropped.
    """

    min_rating: float | None = None
    min_user_interactions: Annotated[int, Field(ge=0)] = 0
    min_item_interactions: Annotated[int, Field(ge=0)] = 0
    iterate: bool = False
    # Worked out before anything else: what counts is the threshold that comes of it.
    min_rating_of: tuple[float, float] | None = Field(default=None, json_schema_extra={WORKED_OUT: True})

    @field_validator("min_rating_of")
    @classmethod
    def _check_scale(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not scale[0] < scale[1]:
            raise ValueError("a lower and a higher rating are expected")
        return scale


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

    @property
    def read(self) -> dict[str, Any]:
        """The settings that a split of this kind reads, as JSON values."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if name in _names_read(self.kind)}


# What each kind of split reads beside what all of them read. Records hold the whole group, so that a setting
# that is not read is refused where it is stated, and not where it is kept.
SPLIT_READS = {
    "random": ("ratios",),
    "chronological": ("ratios",),
    "per-user": ("ratios",),
    "leave-out": ("leave", "negatives"),
    "strong-generalization": ("held_out_users",),
    "sessions": ("test_seconds", "validation"),
    "k-fold": ("folds", "fold", "validation"),
    "given": ("name", "validation"),
}
SPLITS_READ = ("kind", "cold", "oversample")


def _names_read(kind: str) -> tuple[str, ...]:
    return (*SPLITS_READ, *SPLIT_READS[kind])


def require_read(stated: Mapping[str, Any], kind: str, where: str) -> None:
    """Refuse settings of a split that its kind does not read.

    Args:
        stated: settings by name, as someone gave them; one at its default says nothing.
        kind: of the split, where they state none themselves.
        where: what to name in messages.

    Raises:
        UsageError: such as folds of a random split; the message names the kinds that read the setting.
    """
    kind = stated.get("kind", kind)
    # The first fold was a default once, which recipes of then state.
    unsaid = [*SplitSettings().model_dump(mode="json").items(), ("fold", 0)]
    for name, value in stated.items():
        if name not in _names_read(kind) and (name, value) not in unsaid:
            kinds = " or ".join(one for one, names in SPLIT_READS.items() if name in names)
            raise UsageError(
                f"{where}: 'split.{name}' is of the kind {kinds}, and split.kind is {kind}, which reads "
                f"{' and '.join(SPLIT_READS[kind])}. Leave it out, or change split.kind."
            )


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
        fit_on: ``train``, or ``all``: once validation has chosen the epoch, train anew on every interaction
            for as many epochs, for a model that is put to use. Nothing is held out then, so that such a
            run has no test figures.
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
    fit_on: Literal["train", "all"] = added("train")

    @property
    def trains_again(self) -> bool:
        """Whether the final model is trained anew, on more than the training part."""
        return self.refit or self.fit_on == "all"

    @property
    def needs_validation(self) -> bool:
        """Whether validation decides how long to train, or which weights to keep."""
        return self.patience is not None or self.restore_best

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
        comparable: the figures are of the same split, training data and metric as ours; if not, they
            are printed beside ours without a verdict.
        model: whose figures they are; null for the recipe's own model, and no other is taken.
        settings: whether the recipe has the settings that the figures were printed with: ``same``,
            ``other``, or ``defaults`` for a tuned recipe beside another library's defaults; null for
            ``same`` in a recipe named ``paper``, and ``other`` in all others.
        known: ``read`` in the source, or ``from memory``; null where nobody has said.
    """

    source: str
    metrics: dict[str, float]
    remark: str = ""
    comparable: bool = True
    model: str | None = added(None)
    settings: Literal["same", "defaults", "other"] | None = added(None)
    known: Literal["read", "from memory"] | None = added(None)


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
        step: settings of the model's own training step, where it has one.
        training: how the weights are found.
        pretraining: how the model's parts are trained first; null to start from random weights.
        reported: what the paper prints for this model and data set, if it does.
        leaks: test data reaches the model on purpose, to measure what that gives; such runs are never
            ranked, and no figure of theirs is a reproduction.
        changes: what overrides have changed of the recipe that has the name, ``group.key`` -> value.
        search: what `tfzoo tune` may try, ``group.key`` -> range; no part of what a run depends on.
        budget: what the search has cost that the settings come from; None where none is known of.
    """

    model: str
    name: str
    description: str = ""
    builder: dict[str, Any] = {}
    filter: FilterSettings = FilterSettings()
    split: SplitSettings = SplitSettings()
    task: dict[str, Any] = {}
    step: dict[str, Any] = added({})
    training: TrainingSettings = TrainingSettings()
    pretraining: PretrainingSettings | None = None
    reported: Reported | None = None
    leaks: bool = added(False)
    changes: dict[str, Any] = added({})
    search: dict[str, Range] = added({})
    budget: Budget | None = added(None)

    @field_validator("model", "name")
    @classmethod
    def _check_part_of_a_path(cls, value: str) -> str:
        return part_of_a_path(value)

    @model_validator(mode="after")
    def _check_own_reference(self) -> Recipe:
        whose = self.reported.model if self.reported is not None else None
        if whose not in (None, self.model):
            raise ValueError(
                f"'reported' must hold figures of {self.model}, or nothing; those of '{whose}' are no "
                "reference for it"
            )
        return self


def part_of_a_path(value: str) -> str:
    """Return a name that becomes a part of the name of a folder.

    Raises:
        ValueError: it could lead elsewhere, or is too long for a folder.
    """
    wrong = not value.strip() or value.startswith(".") or set(value) & set("/\\")
    if wrong or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(
            f"a name of 1 to {LONGEST_NAME} letters without slashes, line breaks and a dot in front is "
            "expected, since folders are named after it"
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
    if problem["type"] == "extra_forbidden" and (group := _group(kind, path[:-1])) is not None:
        inside = f" in '{'.'.join(path[:-1])}'" if path[:-1] else ""
        return f"unknown key '{path[-1]}'{inside}. {nearest(path[-1], group.model_fields)}"
    place = f"'{'.'.join(path)}': " if path else ""
    return f"{place}{problem['msg']}. Received {_shown(problem['input'])}"


def _group(kind: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """Return the settings that a path leads to; None where it leads through a list or another table."""
    group: Any = kind
    for part in path:
        if part not in getattr(group, "model_fields", {}):
            return None
        annotation = group.model_fields[part].annotation
        group = next((option for option in get_args(annotation) if option is not type(None)), annotation)
    return group if hasattr(group, "model_fields") else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def what_counts(recipe: Recipe, task: BaseModel) -> dict[str, Any]:
    """Return the settings that a run depends on, for its fingerprint: `canonical`, without what is only said.

    Args:
        recipe: the resolved recipe.
        task: its settings of the task, checked.
    """
    values = {**canonical(recipe), "task": canonical(task)}
    return {key: value for key, value in values.items() if key not in UNCOUNTED}
