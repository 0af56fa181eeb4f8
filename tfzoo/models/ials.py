"""iALS: Collaborative Filtering for Implicit Feedback Datasets (Hu, Koren, Volinsky 2008)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfzoo.layers import ComputedModel, known_columns
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Hu, Koren, Volinsky",
    title="Collaborative Filtering for Implicit Feedback Datasets",
    venue="ICDM, 263-272",
    year=2008,
    url="https://doi.org/10.1109/ICDM.2008.22",
)
# Numbers that the vectors of a block's histories, and its normal equations, may take together.
NUMBERS_AT_ONCE = 2**22
TINY = 1e-30


def solve_ials(model: keras.Model, matrix: Any) -> None:
    """Set the item vectors of a model from `IALS` by alternating least squares, in float64.

    The vectors that the model was built with are where it starts from.

    Args:
        model: a model from `IALS`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer = model.get_layer("least_squares")
    rows = known_columns(matrix, layer.kernel.shape[0])
    of_users, of_items = rows, rows.T.tocsr()
    items = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float64)[1:]
    for _ in range(layer.settings["alternations"]):
        users = half_step(of_users, items, layer.unobserved_weight, layer.l2, layer.l2_exponent)
        items = half_step(of_items, users, layer.unobserved_weight, layer.l2, layer.l2_exponent)
    # Turned so that the vectors' second moments are a diagonal: scores stay, and folding in is faster.
    moments, axes = np.linalg.eigh(items.T @ items)
    kernel = np.zeros(layer.kernel.shape, np.float32)
    kernel[1:] = items @ axes
    layer.kernel.assign(kernel)
    layer.moments.assign(np.maximum(moments, 0.0).astype(np.float32))
    layer.known_items.assign(np.float32(np.count_nonzero(np.diff(of_items.indptr))))


def half_step(
    rows: Any, others: NDArray[np.float64], unobserved_weight: float, l2: float, l2_exponent: float
) -> NDArray[np.float64]:
    """Solve for the vectors of one side, with those of the other side fixed.

    That of a row with the interactions S is ``(a V'V + l_S I + V_S' V_S)^-1 V_S' 1`` with
    ``l_S = l2 (|S| + a m)^l2_exponent``, where m counts what has an interaction on the other side.

    Args:
        rows: `scipy.sparse.csr_matrix` of ones ``[n, m]``.
        others: V, ``[m, d]``.
        unobserved_weight: a.
        l2: of the objective, above 0.
        l2_exponent: of the objective.

    Returns:
        ``[n, d]``, 0 where a row is empty.
    """
    counts = np.diff(rows.indptr)
    known = len(np.unique(rows.indices))
    ridge = l2 * (counts + unobserved_weight * known) ** l2_exponent
    of_all = unobserved_weight * (others.T @ others)
    right = rows @ others
    found = np.zeros((rows.shape[0], others.shape[1]))
    padded = np.vstack([others, np.zeros(others.shape[1])])
    for chosen, ids in _blocks(rows, counts, others.shape[1]):
        of_history = padded[ids]
        normal = of_history.transpose(0, 2, 1) @ of_history + of_all
        normal[:, np.arange(normal.shape[1]), np.arange(normal.shape[1])] += ridge[chosen, None]
        found[chosen] = np.linalg.solve(normal, right[chosen, :, None])[..., 0]
    return found


def _blocks(rows: Any, counts: NDArray, dim: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield rows of about equal length, and their columns padded with one past the last, ``[b, longest]``."""
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    while len(order):
        # The longest come first, and no row of a block is less than half as long.
        longest = int(counts[order[-1]])
        most = max(1, NUMBERS_AT_ONCE // (dim * (longest + dim)))
        first = max(int(np.searchsorted(counts[order], longest / 2)), len(order) - most)
        chosen, order = order[first:], order[:first]
        within = np.arange(longest)
        at = rows.indptr[chosen][:, None] + within
        inside = within < counts[chosen][:, None]
        yield chosen, np.where(inside, rows.indices[np.where(inside, at, 0)], rows.shape[1])


@keras.saving.register_keras_serializable("tfzoo")
class LeastSquares(keras.layers.Layer):
    """Scores of all items for rows: the row's vector by least squares, times the items' vectors.

    Nothing here is changed by gradient descent. The vector is what `half_step` gives for the row, found
    by conjugate gradients, which export to every runtime: they begin at 0, and the part of the normal
    equations that all rows share preconditions them.

    Args:
        embedding_dim: width of the items' vectors.
        unobserved_weight: see `IALS`.
        l2: see `IALS`.
        l2_exponent: see `IALS`.
        initial_stddev: of the vectors before they are solved for.
        iterations: of the conjugate gradients.
        settings: what else the model's `solve` needs; kept in the configuration.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        rows: ``[B, n]``, 1 for what a user has.

    Returns:
        ``[B, n]``.
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        unobserved_weight: float,
        l2: float,
        l2_exponent: float,
        initial_stddev: float,
        iterations: int,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding_dim, self.initial_stddev = embedding_dim, initial_stddev
        self.unobserved_weight, self.l2, self.l2_exponent = unobserved_weight, l2, l2_exponent
        self.iterations, self.settings = iterations, dict(settings or {})

    def build(self, rows_shape: Any) -> None:
        """Create the items' vectors, at random, and what is known of all of them together."""
        items, dim = rows_shape[-1], self.embedding_dim

        def solved(name: str, shape: tuple[int, ...], start: Any = "zeros") -> Any:
            return self.add_weight(shape=shape, initializer=start, trainable=False, name=name)

        start = keras.initializers.RandomNormal(stddev=self.initial_stddev)
        self.kernel = solved("kernel", (items, dim), start)
        self.moments = solved("moments", (dim,))
        self.known_items = solved("known_items", ())

    def call(self, rows: Any) -> Any:
        """Score."""
        return ops.matmul(self.vectors(rows), ops.transpose(self.kernel))

    def vectors(self, rows: Any) -> Any:
        """Return the vectors of rows, ``[B, embedding_dim]``."""
        kernel = ops.convert_to_tensor(self.kernel)
        # Sums of squares and a number of items: what is solved for is never negative, what is drawn may be.
        moments, known = (ops.maximum(one, 0.0) for one in (self.moments, self.known_items))
        counts = ops.sum(rows, axis=-1, keepdims=True) + self.unobserved_weight * known
        shared = self.unobserved_weight * moments + self.l2 * ops.power(counts, self.l2_exponent) + TINY

        def normal(vectors: Any) -> Any:
            predicted = ops.matmul(vectors, ops.transpose(kernel))
            return shared * vectors + ops.matmul(rows * predicted, kernel)

        residual = ops.matmul(rows, kernel)
        found, direction = ops.zeros_like(residual), residual / shared
        size = ops.sum(residual * direction, axis=-1, keepdims=True)
        for _ in range(self.iterations):
            product = normal(direction)
            step = size / ops.maximum(ops.sum(direction * product, axis=-1, keepdims=True), TINY)
            found = found + step * direction
            residual = residual - step * product
            scaled = residual / shared
            before, size = size, ops.sum(residual * scaled, axis=-1, keepdims=True)
            direction = scaled + size / ops.maximum(before, TINY) * direction
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("embedding_dim", "unobserved_weight", "l2", "l2_exponent", "initial_stddev", "iterations")
        own = {name: getattr(self, name) for name in (*names, "settings")}
        return {**super().get_config(), **own}


@register_model(
    "ials",
    task="reconstruction",
    family="closed-form",
    paper=PAPER,
    solve=solve_ials,
    small={"embedding_dim": 3, "iterations": 6},
)
def IALS(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 64,
    unobserved_weight: float = 0.1,
    l2: float = 0.003,
    l2_exponent: float = 1.0,
    alternations: int = 10,
    initial_stddev: float = 0.1,
    iterations: int = 32,
) -> keras.Model:
    """Matrix factorisation of implicit feedback by alternating least squares.

    Minimises, as Rendle et al. (RecSys 2022, section 2) write it, with S the interactions and ``w_u``,
    ``v_i`` the vectors of users and items::

        sum_S (w_u . v_i - 1)^2 + a sum_all (w_u . v_i)^2
        + l2 (sum_u (|S_u| + a |I|)^e |w_u|^2 + sum_i (|S_i| + a |U|)^e |v_i|^2)

    with a = `unobserved_weight` and e = `l2_exponent`. Equation 3 of Hu et al., with weight ``1 + alpha``
    for an interaction and 1 else, is the same with ``a = 1 / alpha``, e = 0, their l2 divided by
    ``1 + alpha``, and predictions divided by ``1 + a``. `solve_ials` solves for both sides exactly, in
    turn; the users' vectors are not kept: a row is folded in.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        embedding_dim: width of the vectors.
        unobserved_weight: weight of all cells, which pulls predictions to 0; not below 0.
        l2: weight of the penalty, above 0.
        l2_exponent: how the penalty of a vector grows with what it is fitted to; 0 is Hu et al.'s, 1
            Rendle et al.'s.
        alternations: how often the users' and then the items' vectors are solved for.
        initial_stddev: the items' vectors begin with this standard deviation, divided by the root of
            `embedding_dim`.
        iterations: of the conjugate gradients that fold in a row.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``; column 0 is 0 once the vectors are solved for. Its
        ``embedding_dim (num_items + 2) + 1`` weights are not trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.IALS(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: a size is below 1, ``l2`` is not above 0, or another option is below 0.

    Differences from the paper:
        Interactions count 1, whatever their rating or number. Settings and scaling of the penalty are
        those of Rendle et al.; unlike in their code vectors are solved for as a whole, not in blocks.
    """
    for option, size in (("embedding_dim", embedding_dim), ("iterations", iterations)):
        if size < 1:
            raise ValueError(f"`{option}` must be at least 1. Received: {option}={size}")
    if not l2 > 0:
        raise ValueError(f"`l2` must be above 0. Received: l2={l2}")
    for option, value in (
        ("unobserved_weight", unobserved_weight),
        ("l2_exponent", l2_exponent),
        ("alternations", alternations),
        ("initial_stddev", initial_stddev),
    ):
        if not value >= 0:
            raise ValueError(f"`{option}` must not be negative. Received: {option}={value}")
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    scores = LeastSquares(
        embedding_dim,
        unobserved_weight=float(unobserved_weight),
        l2=float(l2),
        l2_exponent=float(l2_exponent),
        initial_stddev=float(initial_stddev) / embedding_dim**0.5,
        iterations=iterations,
        settings={"alternations": alternations},
        dtype="float32",
        name="least_squares",
    )(row)
    return ComputedModel({"user_row": row}, {"scores": scores}, name="ials")
