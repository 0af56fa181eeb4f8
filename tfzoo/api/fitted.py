"""A trained model beside what it takes to ask it: raw ids in, data frames out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
from rich.console import Console

from tfzoo.all_lists import all_lists, recommender_of, users_of
from tfzoo.api.advice import without_tracing_advice
from tfzoo.api.keywords import overrides_of
from tfzoo.api.preparing import columns_of, source_of
from tfzoo.api.questions import checked_pairs, listed_ids, positive, trained_items, warn_of_unknown
from tfzoo.api.randomness import own_random_numbers
from tfzoo.api.similarity import similar
from tfzoo.api.storing import Update, given_folder, write
from tfzoo.api.wording import as_keywords, keywords_in_errors
from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.explaining import explain
from tfzoo.models import model_info
from tfzoo.runs import load_model, run
from tfzoo.serving.export import export_saved_model, refuse_other_data
from tfzoo.serving.in_process import InProcessClient
from tfzoo.serving.interface import BLANK_SCORE, Id
from tfzoo.serving.recommenders import CatalogueRecommender
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import REFITTED
from tfzoo.updates import prepare_update, training_settings, update_name

# By the input of a signature, the argument that fills it.
ARGUMENTS = {"exclude_ids": "exclude", "allow_ids": "among", "history": "history"}
# Scores of all items are made for so many users at once.
USERS_PER_CALL = 256


class FittedModel:
    """What `fit` and `load` return.

    Args:
        experiment: what was trained, from `Experiment.prepare`.
        data: the interactions that it was prepared from, before any filter.
        record: of the run.
        folder: of the run, with the model.
        updates: of each update since then the interactions, and where they are from.
        keep: what must live as long as this object, such as a temporary folder.

    Attributes:
        data: the interactions of the first training.
        record: what a training leaves: settings, metrics, times, versions.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: Interactions,
        record: RunRecord,
        folder: Path,
        *,
        updates: Sequence[Update] = (),
        keep: Any = None,
    ) -> None:
        self.data, self.record, self._folder, self._keep = data, record, folder, keep
        self._updates = tuple(updates)
        self._experiment = experiment.refitted()

    def __repr__(self) -> str:
        train = self._experiment.split.train
        figures = self.record.metrics.get("test", {})
        headline = next((name for name in self._experiment.task.headline if name in figures), None)
        measured = "" if headline is None else f", test {headline} {figures[headline]:.4f}"
        counts = f"{train.num_users:,} users, {train.num_items:,} items"
        return f"FittedModel({self.record.model!r}, {counts}{measured})"

    def __reduce__(self) -> Any:
        # A copy would name a temporary folder that goes away with this object.
        raise UsageError(
            "A fitted model is neither pickled nor copied: write it with save(folder), and read it with "
            "tfzoo.load(folder)."
        )

    @cached_property
    def model(self) -> keras.Model:
        """The trained Keras model."""
        return load_model(self._folder)

    @property
    def protocol(self) -> str:
        """How the data was divided and ranked, without what the model was trained on in the end."""
        return self.record.protocol.replace(REFITTED, "")

    def measured_as(self, other: FittedModel) -> bool:
        """Whether both were measured on the same rows."""
        ours, theirs = self._experiment.split.test, other._experiment.split.test
        return len(ours) == len(theirs) and all(
            np.array_equal(a.decode(x), b.decode(y))
            for a, x, b, y in (
                (ours.users, ours.user_id, theirs.users, theirs.user_id),
                (ours.items, ours.item_id, theirs.items, theirs.item_id),
            )
        )

    def evaluate(self) -> pd.DataFrame:
        """Return the test metrics, the paper's figures beside them where it has some for this data.

        Returns:
            Columns ``metric``, ``value`` and ``paper`` (NaN where there is no figure).

        Raises:
            UsageError: the model was trained on all data.
        """
        if "test" not in self.record.metrics:
            raise UsageError(
                "This model was trained on all data (fit_on='all'): nothing is held out to measure it on. "
                "Fit with fit_on='train' to measure."
            )
        measured = self.record.metrics["test"]
        first = [name for name in self._experiment.task.headline if name in measured]
        figures = {name: measured[name] for name in (*first, *sorted(set(measured) - set(first)))}
        paper = {} if self.record.paper is None else self.record.paper["metrics"]
        return pd.DataFrame(
            {
                "metric": list(figures),
                "value": list(figures.values()),
                "paper": [float(paper.get(metric, np.nan)) for metric in figures],
            }
        )

    def recommend(
        self,
        users: Iterable[Id] | Id,
        k: int = 10,
        *,
        exclude: Iterable[Id] = (),
        among: Iterable[Id] | None = None,
    ) -> pd.DataFrame:
        """Return the best items for users, without what they are known to have.

        Args:
            users: raw ids. Who is not in the data gets the most popular items, with their numbers of
                interactions as scores.
            k: items a user.
            exclude: raw item ids that are never listed; unknown ones are warned of.
            among: rank these items alone, unknown ones are warned of; None for all.

        Returns:
            Columns ``user_id``, ``item_id``, ``rank`` (from 1), ``score``, ``known_user`` and, where items
            have titles, ``title``. A user has fewer than ``k`` rows where no more items are eligible.

        Raises:
            UsageError: ``k`` is below 1, an id is missing or neither text nor whole number, or a text where
                the data has whole numbers.
        """
        listed = listed_ids(users, "users")
        lists = {"exclude_ids": listed_ids(exclude, "exclude")}
        if among is not None:
            lists["allow_ids"] = listed_ids(among, "among")
        signature = "recommend" if among is None else "recommend_among"
        return self._answers(signature, "user_id", listed, k, lists)

    @without_tracing_advice()
    def recommend_all(self, k: int = 10, *, exclude: Iterable[Id] = ()) -> pd.DataFrame:
        """Return what `recommend` returns of all users of the data, in large blocks and in less time.

        Args:
            k: items a user.
            exclude: raw item ids that are never listed.

        Returns:
            As `recommend`, in the order of the vocabulary of users.

        Raises:
            UsageError: ``k`` is below 1, or an id is none.
        """
        train, barred = self._experiment.split.train, listed_ids(exclude, "exclude")
        titles = train.item_features.get("title")
        users = users_of(self._experiment)
        tables = all_lists(self._recommender, users, train.items, positive(k), exclude=barred, titles=titles)
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return frame

    def recommend_from_history(
        self, history: Sequence[Id], k: int = 10, *, exclude: Iterable[Id] = ()
    ) -> pd.DataFrame:
        """Return the best items for somebody of whom a history alone is known.

        Args:
            history: raw item ids, oldest first; unknown ones are warned of, and say nothing.
            k: how many items.
            exclude: raw item ids that are never listed.

        Returns:
            As `recommend`, without ``user_id``.

        Raises:
            UsageError: the model learns a vector for each user, and cannot read a history.
        """
        lists = {"exclude_ids": listed_ids(exclude, "exclude")}
        answer = self._answers(
            "recommend_from_history", "history", [listed_ids(history, "history")], k, lists
        )
        return answer.drop(columns="history")

    @without_tracing_advice()
    def similar_items(self, items: Iterable[Id] | Id, k: int = 10) -> pd.DataFrame:
        """Return the items nearest to items, see `tfzoo.api.similarity.similar`.

        Args:
            items: raw ids.
            k: neighbours an item, among those with interactions in the training part.

        Returns:
            Columns ``item_id``, ``similar_id``, ``rank``, ``score`` and, where items have titles, ``title``
            of the similar one.

        Raises:
            UsageError: an id is not in the data or not in its training part, or the model has neither
                vectors of items nor reads histories.
        """
        train = self._experiment.split.train
        trained = train.item_counts() > 0
        dense = trained_items(train.items, listed_ids(items, "items"), trained)
        found, scores = similar(self._scorer, dense, positive(k), self.record.model, trained)
        width = found.shape[1]
        frame = pd.DataFrame(
            {
                "item_id": np.repeat(train.items.decode(dense), width),
                "similar_id": train.items.decode(found.ravel()),
                "rank": np.tile(np.arange(1, width + 1), len(dense)),
                "score": scores.ravel(),
            }
        )
        return self._titled(frame, "similar_id")

    @without_tracing_advice()
    def explain(self, user: Id, item: Id) -> pd.DataFrame:
        """Return which past items of a user carry the score of an item, see `tfzoo.explaining.explain`.

        Args:
            user: raw id of a user of the data.
            item: raw id of an item of the data.

        Returns:
            Columns ``item_id`` of past items, most important first, ``part``, ``kind`` (``leave-one-out``:
            what the score loses without it, or ``nearest``: cosine with the item) and, where items have
            titles, ``title``. ``attrs["score"]`` of the frame is the score of the item.

        Raises:
            UsageError: an id is not in the data, or nothing is known of the user.
        """
        train = self._experiment.split.train
        dense = []
        for name, vocabulary, raw in (("User", train.users, user), ("Item", train.items, item)):
            (one,) = listed_ids(raw, name.lower())
            dense.append(int(vocabulary.lookup([one])[0]))
            if dense[-1] == 0:
                raise UsageError(f"{name} {one!r} is not in the data.")
        found = explain(self._experiment, self._scorer, *dense)
        past = train.items.decode(found.item_id)
        frame = pd.DataFrame({"item_id": past, "part": found.part, "kind": found.kind})
        frame = self._titled(frame, "item_id")
        frame.attrs["score"] = found.score
        return frame

    @without_tracing_advice()
    def predict(self, pairs: Any, *, user_col: str = "user_id", item_col: str = "item_id") -> pd.DataFrame:
        """Return the model's rating or score of pairs.

        Args:
            pairs: a data frame of raw ids, see `fit`.
            user_col: its column of users; unknown ones are scored as the average user.
            item_col: its column of items; unknown ones are scored as the average item.

        Returns:
            Columns ``user_col``, ``item_col`` and ``rating`` for models of ratings, else ``score``, in the
            order of the rows.

        Raises:
            DataError: a column is missing, stands there twice, or has the name of the answer.
            UsageError: an id is missing or neither text nor whole number.
        """
        frame = checked_pairs(pairs, user_col, item_col, self._scorer.output_name)
        inputs = {"user_id": frame[user_col].tolist(), "item_id": frame[item_col].tolist()}
        ((name, values),) = self._client.predict("serving_default", inputs).items()
        return frame[[user_col, item_col]].reset_index(drop=True).assign(**{name: values})

    @keywords_in_errors()
    @without_tracing_advice()
    def update(
        self,
        data: Any,
        *,
        replay: float = 0.0,
        epochs: int | None = None,
        name: str = "new",
        verbose: bool = True,
        **training: Any,
    ) -> FittedModel:
        """Go on with new interactions, users and items; this model stays what it is.

        Args:
            data: a data frame with the columns that `fit` was told of, or `Interactions`.
            replay: share of the earlier data that is trained on again, against forgetting.
            epochs: passes over what is trained on; None for as many as the training before found best.
            name: short name of the new data.
            verbose: show what was read.
            **training: settings of the training that are to be others, such as ``learning_rate=1e-3``.

        Returns:
            The updated model; see `tfzoo.updates.prepare_update` for what is kept. It is measured on the
            rows that the first training held out.

        Raises:
            UsageError: the model's tables do not grow with the ids, or nothing in the data is new.
            DataError: the data cannot be used.
        """
        columns = columns_of(self.record.data if not self._updates else self._updates[-1][1])
        repeats = "keep" if self._experiment.task.needs.duplicates == "keep" else "last"
        columns = replace(columns, duplicates=columns.duplicates or repeats)
        new = columns.read(data, self.record.model, name, least=1)
        console = Console(stderr=True, markup=False, quiet=not verbose)
        console.print(as_keywords(new.describe()), highlight=False, soft_wrap=True)
        source = source_of(new.name, columns)
        changed = overrides_of(model_info(self.record.model), training)
        folder = tempfile.TemporaryDirectory(prefix="tfzoo-")
        # Preparing builds a model, which seeds the generators as a training does.
        with own_random_numbers():
            experiment = prepare_update(
                self._experiment,
                self.record,
                self._folder,
                new,
                source,
                replay=replay,
                epochs=epochs,
                training=training_settings(self.record.model, changed),
            )
            record, place = run(experiment, Path(folder.name), name=update_name(self.record, experiment))
        updates = [*self._updates, (new, source)]
        return FittedModel(experiment, self.data, record, place, updates=updates, keep=folder)

    def save(self, folder: str | Path) -> Path:
        """Write the model with its data into a folder, for `load`; see `tfzoo.api.storing.write`."""
        return write(self.data, self.record, self._folder, given_folder(folder), self._updates)

    def export(self, folder: str | Path) -> Path:
        """Write the next version of a SavedModel for TensorFlow Serving.

        Args:
            folder: of the served model; versions are its subfolders ``1``, ``2``, ...

        Returns:
            The folder of the new version.

        Raises:
            TfzooError: the folder cannot be written, or its versions are of another model or other data.
        """
        experiment = self._experiment
        target = given_folder(folder)
        told = "Name another folder."
        refuse_other_data(target, self.record.model, experiment.data_served(), told)
        return export_saved_model(
            self.model,
            self._scorer,
            experiment.split.train,
            target,
            metadata=self.record.for_export(experiment.data_fingerprint),
            known=experiment.known_beside_training(),
        )

    @cached_property
    def _scorer(self) -> Any:
        return self._experiment.task.scorer(self.model, self._experiment.features(self.model))

    @cached_property
    def _client(self) -> InProcessClient:
        return InProcessClient(self._recommender, self.record.model)

    @cached_property
    def _recommender(self) -> CatalogueRecommender:
        return recommender_of(self._experiment, self._scorer)

    @without_tracing_advice()
    def _answers(
        self, signature: str, asked: str, who: list[Any], k: int, lists: Mapping[str, list[Id]]
    ) -> pd.DataFrame:
        """Ask a signature for many rows, and return the eligible items one below the other."""
        positive(k)
        given = {"history": who[0], **lists} if asked == "history" else lists
        for name, ids in given.items():
            warn_of_unknown(self._experiment.split.train.items, ids, ARGUMENTS[name])
        parts = []
        for first in range(0, len(who), USERS_PER_CALL):
            rows = who[first : first + USERS_PER_CALL]
            repeated = {name: [values] * len(rows) for name, values in lists.items()}
            answer = self._client.predict(signature, {asked: rows, "k": [k] * len(rows), **repeated})
            shown = answer["scores"] > BLANK_SCORE
            row, place = np.nonzero(shown)
            parts.append(
                pd.DataFrame(
                    {
                        asked: pd.Series([rows[number] for number in row]),
                        "item_id": answer["item_ids"][shown],
                        "rank": place + 1,
                        "score": answer["scores"][shown],
                        "known_user": answer["known_user"][row],
                    }
                )
            )
        empty = pd.DataFrame(columns=[asked, "item_id", "rank", "score", "known_user"])
        return self._titled(pd.concat(parts, ignore_index=True) if parts else empty, "item_id")

    def _titled(self, frame: pd.DataFrame, column: str) -> pd.DataFrame:
        train = self._experiment.split.train
        titles = train.item_features.get("title")
        if titles is None or frame.empty:
            return frame
        dense = train.items.lookup(frame[column].to_numpy())
        return frame.assign(title=np.asarray(titles, object)[dense])
