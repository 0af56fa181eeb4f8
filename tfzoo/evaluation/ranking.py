"""Full and sampled ranking: from scores to hits to metrics."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import ordered_batches
from tfzoo.data.rows import SparseRows
from tfzoo.data.splits import Negatives, Split
from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases, mean_itself
from tfzoo.evaluation.evaluator import EVALUATORS
from tfzoo.evaluation.ranking_metrics import ranking_metrics, ranking_metrics_per_user
from tfzoo.tasks.base import Scorer
from tfzoo.tasks.ranking import RankingTask

SCORES_PER_CALL = 2**21
# Users times items whose roles are kept from one evaluation to the next, a byte each.
ROLES_KEPT = 2**28
ROWS_AT_ONCE = 1 << 22
UNRANKED, RELEVANT, OTHER = np.uint8(0), np.uint8(1), np.uint8(2)
UNRANKED_KEY = np.iinfo(np.int64).min


@EVALUATORS.register("ranking")
class RankingEvaluator:
    """Measures the ranked lists of a model.

    Where a part has negatives, a user's relevant items are ranked among these alone; a negative
    that is relevant too is left out. Else all items are ranked that occur in the training part
    and that the user is not known to have: at validation those of train and fold-in, at test
    those of validation too.

    Args:
        task: gives scorer and cutoffs.
        model: the model to measure; its weights may change between two calls.
        features: from the task.
        split: the parts.
    """

    def __init__(self, task: RankingTask, model: keras.Model, features: Any, split: Split) -> None:
        self._split, self._cutoffs = split, task.settings.cutoffs
        self._scorer: Scorer = task.scorer(model, features)
        self._rankers: dict[str, _Full | _Sampled] = {}

    @cached_property
    def protocol(self) -> str:
        """How candidates are ranked."""
        sampled = self._split.negatives.get("test")
        if sampled is not None:
            return f"sampled-{sampled.item_id.shape[1]} ranking"
        return "full ranking" if left_out(self._split, "test") else "full ranking with known items"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("validation", "test", *self._split.variants)

    def evaluate(self, part: str) -> dict[str, float]:
        """Return the metrics of one of `parts`.

        Raises:
            DataError: a score is not a number.
        """
        return ranking_metrics(*self._hits(part), self._cutoffs)

    def cases(self, part: str) -> Cases:
        """Return the metrics of every user."""
        each = ranking_metrics_per_user(*self._hits(part), self._cutoffs)
        metrics = {metric: (values, mean_itself) for metric, values in each.items()}
        width = self._split.train.num_items + 1
        pairs = part_of(self._split, part)
        keys = np.unique(pairs.user_id.astype(np.int64) * width + pairs.item_id)
        return Cases("users", keys, np.unique(pairs.user_id), metrics)

    def _hits(self, part: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        if part not in self._rankers:
            self._rankers[part] = self._ranker(part)
        self._scorer.refresh()
        return self._rankers[part].hits(max(self._cutoffs))

    def validate(self) -> dict[str, float]:
        """Return the metrics of the validation part."""
        return self.evaluate("validation")

    def _ranker(self, part: str) -> _Full | _Sampled:
        split = self._split
        cases = part_of(split, part)
        base = part if part == "validation" else "test"
        scorer = self.scorer_of(base)
        if base in split.negatives:
            return _Sampled(scorer, cases, split.negatives[base])
        return _Full(scorer, cases, left_out(split, base), part_of_training(split.train))

    def scorer_of(self, base: str) -> Scorer:
        """Return what scores at ``validation`` and at ``test``, where more is known."""
        return self._scorer


def part_of(split: Split, part: str) -> Interactions:
    """Return a part of a split, or one of its variants, by name."""
    cases: Interactions = split.variants[part] if part in split.variants else getattr(split, part)
    return cases


def known_parts(split: Split, part: str) -> list[Interactions]:
    """Return what is not recommended again where ``validation`` or ``test`` is measured, train first."""
    known = [split.train, *([split.fold_in] if split.fold_in is not None else [])]
    return [*known, split.validation] if part == "test" else known


def left_out(split: Split, part: str) -> list[Interactions]:
    """Return whose items are not ranked where a part is measured, see `RankingEvaluator`; may be nobody's."""
    known = known_parts(split, part)
    # No pair of a held-out user is known twice: `strong_generalization_split` refuses repeated ones.
    trained = [rows for rows in known if rows is not split.fold_in]
    return [] if known_pairs(getattr(split, part), trained) else known


def known_pairs(part: Interactions, known: list[Interactions]) -> int:
    """Return how many distinct pairs of user and item of a part are known from other parts."""
    width = part.num_items + 1
    wanted = np.unique(part.user_id.astype(np.int64) * width + part.item_id)
    found = np.zeros(len(wanted), bool)
    for rows in known:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            pairs = rows.user_id[block].astype(np.int64) * width + rows.item_id[block]
            at = np.searchsorted(wanted, pairs).clip(max=len(wanted) - 1)
            found[at[wanted[at] == pairs]] = True
    return int(found.sum())


def part_of_training(train: Interactions) -> NDArray[np.bool_]:
    """Tell which items can be recommended: those that training knows, bool ``[num_items + 1]``."""
    trained = train.item_counts() > 0
    trained[0] = False
    return trained


class _Full:
    """Ranks all eligible items."""

    def __init__(
        self, scorer: Scorer, cases: Interactions, known: list[Interactions], eligible: NDArray[np.bool_]
    ) -> None:
        self.users = np.unique(cases.user_id).astype(np.int32)
        self._relevant = interaction_rows([cases])
        self._seen = interaction_rows(known) if known else None
        self._eligible = tf.constant(eligible)
        self._batch = size = int(np.clip(SCORES_PER_CALL // len(eligible), 1, len(self.users)))
        self._roles = tf.function(self._roles_of, input_signature=[tf.TensorSpec([size], tf.int32)])
        self._keys = _key_function(scorer.score_items, scorer.supports_jit)
        self._kept: list[tf.Tensor] | None = [] if len(self.users) * len(eligible) <= ROLES_KEPT else None

    def hits(self, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which of the first ``k`` items are relevant ``[n, k]``, and how many are in all ``[n]``."""
        parts = []
        for number, rows in enumerate(ordered_batches(len(self.users), self._batch)):
            users = tf.gather(self.users, tf.maximum(rows, 0))
            keys, sane = self._keys(self._roles_in(number, users), users)
            parts.append(_checked(first_hits(keys, tf.constant(k)), sane))
        counts = np.diff(self._relevant.splits.numpy())[self.users]
        return np.concatenate(parts)[: len(self.users)], counts

    def _roles_in(self, batch: int, users: tf.Tensor) -> tf.Tensor:
        """Return the roles of a batch, which are the same after every epoch."""
        if self._kept is None:
            return self._roles(users)
        if batch == len(self._kept):
            self._kept.append(self._roles(users))
        return self._kept[batch]

    def _roles_of(self, users: tf.Tensor) -> tf.Tensor:
        relevant = self._relevant.dense(users) > 0
        if self._seen is None:
            return roles(relevant, self._eligible)
        return roles(relevant, self._eligible & (self._seen.dense(users) == 0))


class _Sampled:
    """Ranks each user's relevant items among his negatives."""

    def __init__(self, scorer: Scorer, cases: Interactions, negatives: Negatives) -> None:
        self.users = np.unique(cases.user_id)
        order = np.argsort(negatives.user_id)
        at = np.searchsorted(negatives.user_id, self.users, sorter=order).clip(max=len(order) - 1)
        at = order[at]
        missing = negatives.user_id[at] != self.users
        if missing.any():
            user = cases.users.decode(self.users[missing][:1])[0]
            raise DataError(f"User {user} has test items but no negatives to rank them among.")
        relevant = _padded(cases, self.users)
        drawn = negatives.item_id[at]
        clash = (drawn[:, :, None] == relevant[:, None, :]).any(axis=-1)
        self._counts = (relevant > 0).sum(axis=1)
        self._items = np.concatenate([relevant, np.where(clash, 0, drawn)], axis=1).astype(np.int32)
        self._is_relevant = np.arange(self._items.shape[1]) < relevant.shape[1]
        self._batch = int(np.clip(SCORES_PER_CALL // 16 // self._items.shape[1], 1, len(self.users)))
        self._keys = _key_function(scorer.score_candidates, scorer.supports_jit)

    def hits(self, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which of the first ``k`` items are relevant ``[n, k]``, and how many are in all ``[n]``."""
        parts = []
        for rows in ordered_batches(len(self.users), self._batch):
            chosen = tf.maximum(rows, 0)
            users, items = tf.gather(self.users, chosen), tf.gather(self._items, chosen)
            role = roles(tf.broadcast_to(self._is_relevant[np.newaxis], tf.shape(items)), items > 0)
            keys, sane = self._keys(role, tf.cast(users, tf.int32), items)
            parts.append(_checked(first_hits(keys, tf.constant(k)), sane))
        return np.concatenate(parts)[: len(self.users)], self._counts


def roles(relevant: tf.Tensor, eligible: tf.Tensor) -> tf.Tensor:
    """Return what each candidate is, uint8: `UNRANKED`, `RELEVANT` or `OTHER`; both arguments are bool."""
    return tf.where(eligible, tf.where(relevant, RELEVANT, OTHER), UNRANKED)


def ranking_keys(scores: tf.Tensor, role: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return numbers that order candidates by score; of equal scores the relevant ones come last.

    Args:
        scores: float32 ``[B, N]``.
        role: see `roles`, ``[B, N]``.

    Returns:
        int64 ``[B, N]``, the higher the better: even for the relevant ones, and ``UNRANKED_KEY`` for those
        that are not ranked; and whether the scores of all others are numbers.
    """
    # The bits of a float32, read as an integer, order like the float; one more bit breaks ties. Adding 0
    # would not do against -0.0: the graph optimiser leaves such an addition out.
    scores = tf.cast(scores, tf.float32)
    bits = tf.bitcast(tf.where(tf.equal(scores, 0.0), 0.0, scores), tf.int32)
    ordered = tf.cast(tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, 0x7FFFFFFF), bits), tf.int64)
    ranked = tf.not_equal(role, UNRANKED)
    keys = tf.where(ranked, 2 * ordered + tf.cast(tf.equal(role, OTHER), tf.int64), UNRANKED_KEY)
    return keys, ~tf.reduce_any(tf.math.is_nan(scores) & ranked)


def _key_function(score: Any, jit_compile: bool) -> Any:
    """Compile a function from roles and the arguments of ``score`` to what `ranking_keys` returns."""
    if not jit_compile:
        scores, keys = tf.function(score), tf.function(ranking_keys, jit_compile=True)
        return lambda role, *ids: keys(scores(*ids), role)
    # One program: scores need not be written to memory and read again.
    return tf.function(lambda role, *ids: ranking_keys(score(*ids), role), jit_compile=True)


@tf.function
def first_hits(keys: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """Tell of each of the first ``k`` ranks whether it is relevant, False past the last candidate."""
    length = tf.minimum(k, tf.shape(keys)[1])
    best = tf.math.top_k(keys, k=length).values
    hits = tf.equal(best % 2, 0) & (best > UNRANKED_KEY)
    return tf.pad(hits, [[0, 0], [0, k - length]])


def _checked(hits: tf.Tensor, sane: tf.Tensor) -> NDArray[np.bool_]:
    if not sane:
        raise DataError("Metrics need finite scores; the model returned values that are not numbers.")
    found: NDArray[np.bool_] = hits.numpy()
    return found


def interaction_rows(parts: list[Interactions]) -> SparseRows:
    """Return the items of each user in some parts of the data, 1 in ``[num_users + 1, num_items + 1]``."""
    user = np.concatenate([part.user_id for part in parts])
    item = np.concatenate([part.item_id for part in parts])
    shape = (parts[0].num_users + 1, parts[0].num_items + 1)
    return SparseRows(user, item, np.ones(len(user), np.float32), shape)


def _padded(cases: Interactions, users: NDArray) -> NDArray[np.int32]:
    """Return the distinct items of each user, int32 ``[n, most items of a user]``, 0 for none."""
    width = cases.num_items + 1
    pairs = np.unique(cases.user_id.astype(np.int64) * width + cases.item_id)
    row = np.searchsorted(users, pairs // width)
    starts = np.searchsorted(row, np.arange(len(users)))
    column = np.arange(len(pairs)) - starts[row]
    padded = np.zeros((len(users), column.max() + 1), np.int32)
    padded[row, column] = pairs % width
    return padded
