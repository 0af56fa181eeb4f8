"""A trained run that goes on with new interactions: its tables grow, and what it has learned is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.data.appending import extend_vocabularies, over, translate, with_features_of
from tfzoo.data.cells import first_of_cells
from tfzoo.data.filters import filter_interactions
from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.training.averages import arrays
from tfzoo.training.checkpoint import Arrays
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import MODEL, RunRecord
from tfzoo.training.settings import LONGEST_NAME, Recipe
from tfzoo.training.splitting import joined
from tfzoo.training.start import Start, read_slots

# Inputs of which a value belongs to a user or an item, or is worked out of the interactions.
BY_ID = re.compile(r"(user|item)_(id|row)|history|history_gaps|state_\d+")
SUFFIX = re.compile("-update-[0-9a-f]{8}$")


def extended(
    experiment: Experiment, new: Interactions, source: Mapping[str, Any], update: Mapping[str, Any]
) -> Experiment:
    """Return an experiment whose training part has the new interactions, too.

    Validation and test part stay what they are. New rows that these hold are left out; where the model's task
    knows one row of a user and an item, a new one replaces what training had. Where it knows many, events of
    the same user, item and time as a known one are left out, and without times the held-out pairs.

    Args:
        experiment: of the earlier run, refitted, see `Experiment.refitted`.
        new: interactions over vocabularies of their own.
        source: where they are from, for the record.
        update: what tells this update from others, see `update_of`.

    Raises:
        DataError: a column that the earlier data has is missing, ids are of another kind, or a rating lies
            outside the scale.
        UsageError: none of the interactions is new.
    """
    split, known = experiment.split, experiment.split.train
    new = _filtered(new, experiment.recipe)
    users, items = extend_vocabularies(known, new)

    def longer(part: Interactions) -> Interactions:
        return with_features_of(over(part, users, items), new, known)

    before, validation, test = longer(known), longer(split.validation), longer(split.test)
    variants = {name: longer(part) for name, part in split.variants.items()}
    whole = experiment.recipe.training.fit_on == "all"
    held_out = [] if whole else [validation, test, *variants.values()]
    rows, before = _without_known(experiment, translate(new, before), before, held_out)
    if len(rows) == 0:
        raise UsageError(
            f"'{new.name}' holds no interaction that the run does not know: nothing would change. Give new "
            "ones."
        )
    changed = replace(
        split,
        train=joined([before, rows]),
        validation=validation,
        test=test,
        fold_in=None if split.fold_in is None else longer(split.fold_in),
        variants=variants,
        protocol=f"{split.protocol}, then updated with {len(rows):,} interactions",
    )
    experiment.task.check_split(changed)
    everything = longer(experiment.interactions)
    if len(everything):
        everything = joined([everything, rows])
    digest = hashlib.sha256(f"{experiment.data_fingerprint} {new.fingerprint()}".encode()).hexdigest()
    return replace(
        experiment,
        data={"after": dict(experiment.data), "rows": dict(source)},
        interactions=everything,
        split=changed,
        data_fingerprint=digest[:16],
        update={
            **update,
            "data": experiment.data_fingerprint,
            "interactions": len(rows),
            "new_users": len(users) - len(known.users),
            "new_items": len(items) - len(known.items),
        },
    )


def update_of(record: RunRecord, *, replay: float, epochs: int | None) -> dict[str, Any]:
    """Return what tells an update from others: which run it goes on from, and how.

    Args:
        record: of the earlier run.
        replay: share of what that run was trained on, that is trained on again.
        epochs: passes over what is trained on; None for as many as the earlier run found best.

    Raises:
        UsageError: ``replay`` or ``epochs`` has no meaning.
    """
    if not 0 <= replay <= 1:
        raise UsageError(f"--replay must be at least 0 and at most 1. Received {replay:g}.")
    if epochs is not None and epochs < 1:
        raise UsageError(f"--epochs must be at least 1. Received {epochs}.")
    return {
        "run": f"{record.run_name}/seed-{record.seed}",
        "served": record.export_name,
        "fingerprint": record.fingerprint,
        "replay": replay,
        "epochs": epochs or _epochs_of(record),
    }


def _epochs_of(record: RunRecord) -> int:
    if record.continues is not None:
        return int(record.continues["epochs"])
    return record.best_epoch or max(1, len(record.history))


def prepare_update(
    experiment: Experiment,
    record: RunRecord,
    folder: Path,
    new: Interactions,
    source: Mapping[str, Any],
    *,
    replay: float = 0.0,
    epochs: int | None = None,
    training: Mapping[str, Any] | None = None,
) -> Experiment:
    """Return the experiment that goes on from a run with new interactions, for `tfzoo.runs.run`.

    Args:
        experiment: of the earlier run, refitted.
        record: of the earlier run.
        folder: of the earlier run, with its model; nothing in it is changed.
        new: interactions over vocabularies of their own.
        source: where they are from, for the record.
        replay: see `update_of`.
        epochs: see `update_of`.
        training: settings of the training that are to be others than the earlier run's.

    Returns:
        The experiment. A closed form is solved anew from old and new interactions. All other models go on
        from the weights of the earlier run, and from the state of its optimizer where that keeps one and is
        of the same kind, and are trained on the new rows and the replayed share alone; models whose examples
        are whole users' histories on the histories of the users with new rows.

    Raises:
        UsageError: the model's tables do not grow with the ids, or see `extended` and `update_of`.
        DataError: see `extended`.
    """
    update = update_of(record, replay=replay, epochs=epochs)
    model = load_model(folder)
    refuse_update(experiment, model)
    automatic = _automatic(experiment, record)
    after = extended(experiment, new, source, {**update, "automatic": automatic})
    if not model.trainable_weights:
        anew = experiment.recipe.model_copy(update={"reported": None})
        return replace(after, recipe=anew, update={**(after.update or {}), "kept": "nothing: solved anew"})
    rows = after.split.train.take(_rows_to_train(after, replay))
    recipe = _recipe_of(experiment.recipe, update["epochs"], training or {})
    slots = _slots(experiment, recipe, folder)
    found = dict(record.metrics.get("found", {}))
    builder = {**experiment.builder_options(), **automatic, **found}
    start = Start(builder, found, arrays(model.weights), slots, rows)
    if after.task.num_examples(_features(after, start), rows) == 0:
        raise UsageError(f"'{new.name}' gives no example to train on: a history needs two interactions.")
    kept = "weights" if slots is None else "weights and optimizer"
    return replace(after, recipe=recipe, start=start, update={**(after.update or {}), "kept": kept})


def refuse_update(experiment: Experiment, model: keras.Model) -> None:
    """Raise `UsageError` for a model that cannot go on, with the reason."""
    name = experiment.recipe.model
    if experiment.task.needs.clicks:
        raise UsageError(f"'{name}' is a model of clicks: it has no users and items that could be added.")
    if not isinstance(experiment.split.train, Interactions):
        raise UsageError("A run on shards cannot be updated; make shards of all data and train on these.")
    others = sorted(one for one in model.input if not BY_ID.fullmatch(one))
    if others:
        raise UsageError(
            f"'{name}' cannot be updated: it reads {', '.join(others)}, whose rows the data numbers anew "
            "when it changes, so that its tables do not grow. Train it again on all data."
        )


def update_name(record: RunRecord, experiment: Experiment) -> str:
    """Return what the run of an update is called: as the earlier one, with a text of its own behind."""
    stem = SUFFIX.sub("", record.run_name)
    suffix = f"-update-{experiment.fingerprint()[:8]}"
    return f"{stem[: LONGEST_NAME - len(suffix)]}{suffix}"


def reopened(experiment: Experiment, tables: Sequence[tuple[Interactions, Mapping[str, Any]]]) -> Experiment:
    """Return the experiment of an update, as it was trained.

    Args:
        experiment: of the run that began anew, refitted.
        tables: for each update in turn its interactions, and where they are from.
    """
    for new, source in tables:
        experiment = extended(experiment, new, source, {})
    return experiment


def of_record(experiment: Experiment, record: RunRecord) -> Experiment:
    """Return a reopened experiment with the settings of the update that a record is of."""
    return experiment if record.continues is None else replace(experiment, update=record.continues)


def training_settings(model: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a training that are to be others than the earlier run's.

    Args:
        model: name of the model.
        overrides: texts ``training.key=value``.

    Raises:
        UsageError: one is of another group, or no setting of a training.
    """
    for one in overrides:
        if not one.startswith("training."):
            raise UsageError(
                f"--set {one}: an update changes settings of the training alone; others are those of its run."
            )
    if not overrides:
        return {}
    changed = load_recipe(model, "", "paper", list(overrides)).training.model_dump()
    return {
        name: changed[name] for name in (one.partition("=")[0].removeprefix("training.") for one in overrides)
    }


def _recipe_of(recipe: Recipe, epochs: int, training: Mapping[str, Any]) -> Recipe:
    """Return the recipe of an update: without the paper's figures, which are of other data."""
    values = recipe.training.model_dump()
    wanted: dict[str, Any] = {
        "epochs": epochs,
        # A schedule ended with the earlier training.
        "schedule": "constant",
        # An average over so few steps would hold on to the earlier weights.
        "average": 0.0,
        **training,
    }
    settings = type(recipe.training).model_validate({**values, **wanted})
    stated = {f"training.{name}": value for name, value in wanted.items() if value != values[name]}
    return recipe.model_copy(
        update={"training": settings, "reported": None, "changes": {**recipe.changes, **stated}}
    )


def _slots(experiment: Experiment, recipe: Recipe, folder: Path) -> Arrays | None:
    """Return the earlier optimizer's state; None where it keeps none or the recipe's optimizer is another."""
    before, now = experiment.recipe.training, recipe.training
    # Sums of squares are no velocities, though they have the same shapes.
    same = (before.optimizer, before.momentum) == (now.optimizer, now.momentum)
    if not same or experiment.step() is not None:
        return None
    return read_slots(folder / MODEL, scheduled=before.schedule != "constant")


def _automatic(experiment: Experiment, record: RunRecord) -> dict[str, Any]:
    """Return the builder's arguments that the data of the first run has decided."""
    if record.continues is not None:
        return dict(record.continues["automatic"])
    given = experiment.recipe.builder
    options = experiment.builder_options()
    return {name: value for name, value in options.items() if given.get(name) != value}


def _filtered(new: Interactions, recipe: Recipe) -> Interactions:
    """Return the interactions that count; those of new users and items are few yet, which is no reason."""
    least = recipe.filter.min_rating
    return new if least is None or new.rating is None else filter_interactions(new, min_rating=least)


def _pairs(part: Interactions) -> NDArray[np.int64]:
    found: NDArray[np.int64] = part.user_id.astype(np.int64) * (part.num_items + 1) + part.item_id
    return found


def _known_events(
    rows: Interactions, train: Interactions, held_out: Sequence[Interactions]
) -> NDArray[np.bool_]:
    """Tell which rows are events that are known already, where a user may meet an item many times.

    Without times an event of the training part cannot be told from its repetition, and counts as new.
    """
    timed = rows.timestamp is not None
    known = [part for part in ([train, *held_out] if timed else held_out) if len(part)]
    if not known:
        return np.zeros(len(rows), bool)
    parts: list[Any] = [rows, *known]
    events = np.concatenate([_pairs(part) for part in parts])
    if timed:
        # Both are numbered first: a product of pairs and times would leave the range of integers.
        pairs = np.unique(events, return_inverse=True)[1]
        times, moments = np.unique(np.concatenate([part.timestamp for part in parts]), return_inverse=True)
        events = pairs * len(times) + moments
    found: NDArray[np.bool_] = np.isin(events[: len(rows)], events[len(rows) :])
    return found


def _without_known(
    experiment: Experiment, rows: Interactions, train: Interactions, held_out: Sequence[Interactions]
) -> tuple[Interactions, Interactions]:
    """Return the new rows that may be trained on, and the old ones that they do not replace."""
    if experiment.task.needs.duplicates == "keep":
        return rows.take(np.flatnonzero(~_known_events(rows, train, held_out))), train
    pairs = _pairs(rows)
    hidden = np.concatenate([_pairs(part) for part in held_out]) if held_out else np.empty(0, np.int64)
    last = len(rows) - 1 - first_of_cells(rows.user_id[::-1], rows.item_id[::-1], rows.num_items + 1)
    kept = np.zeros(len(rows), bool)
    kept[last] = True
    kept &= ~np.isin(pairs, hidden)
    known = _pairs(train)
    if experiment.task.predicts_ratings and train.rating is not None and rows.rating is not None:
        order = np.argsort(known, kind="stable")
        at = order[np.searchsorted(known, pairs, sorter=order).clip(max=len(known) - 1)]
        kept &= ~((known[at] == pairs) & (train.rating[at] == rows.rating))
        replaced = np.isin(known, pairs[kept])
        return rows.take(np.flatnonzero(kept)), train.take(np.flatnonzero(~replaced))
    kept &= ~np.isin(pairs, known)
    return rows.take(np.flatnonzero(kept)), train


def _rows_to_train(experiment: Experiment, replay: float) -> NDArray[np.int64]:
    """Return the rows of an update's training part that it trains on."""
    train: Any = experiment.split.train
    old = len(train) - int((experiment.update or {})["interactions"])
    random = np.random.default_rng([experiment.seed, len(train)])
    is_new = np.arange(len(train)) >= old
    if not experiment.task.examples_of:
        drawn = random.choice(old, round(replay * old), replace=False)
        is_new[drawn] = True
        return np.flatnonzero(is_new)
    ids = train.user_id if experiment.task.examples_of == "user" else train.item_id
    touched = np.unique(ids[is_new])
    others = np.setdiff1d(np.unique(ids), touched)
    drawn = random.choice(others, round(replay * len(others)), replace=False)
    return np.flatnonzero(np.isin(ids, np.concatenate([touched, drawn])))


def _features(experiment: Experiment, start: Start) -> Any:
    """Return the features of the model that is to be trained, which has more rows than the earlier one."""
    return experiment.features(replace(experiment, start=start).build())
