"""gSASRec: parameters, tables, and the calibrated loss as its task computes it."""

import keras
import numpy as np
import pytest

from tfzoo.models import create_model
from tfzoo.problems.sequences import SequenceSettings
from tfzoo.tasks.sequences import SequenceTask

ITEMS = 11


def small(**options):
    keras.utils.set_random_seed(0)
    return create_model("gsasrec", 3, ITEMS, history_length=6, embedding_dim=4, **options)


def test_the_number_of_parameters_is_that_of_the_authors_checkpoint():
    # Theirs has a row of padding at 3,417 and an unused row 0 in both tables; ours has the row 0 alone.
    tables, rest = 2 * 3418 * 128, 200 * 128 + 2 * (5 * 128**2 + 9 * 128) + 2 * 128
    model = create_model("gsasrec", 1, 3416)
    assert model.count_params() + 2 * 128 == tables + rest
    tied = create_model("gsasrec", 1, 3416, tied=True)
    assert model.count_params() - tied.count_params() == 3417 * 128


def test_tied_and_without_scaling_it_is_sasrec():
    ours, sasrec = small(tied=True), create_model("sasrec", 3, ITEMS, history_length=6, embedding_dim=4)
    sasrec.set_weights(ours.get_weights())
    items = sasrec.get_layer("items").table
    history = np.array([[0, 0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]], "int32")
    # SASRec multiplies what it reads, not what it scores with, by the root of the width, which is 2.
    items.assign(items / 2)
    expected = sasrec({"history": history}, training=False)
    found = ours({"history": history}, training=False)
    np.testing.assert_allclose(found["states"], expected["states"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["scores"], 2 * expected["scores"], rtol=1e-4, atol=1e-5)


def test_scores_come_from_the_second_table():
    model = small()
    history = np.array([[0, 0, 1, 2, 3, 4]], "int32")
    outputs = model({"history": history}, training=False)
    expected = outputs["states"].numpy()[:, -1] @ model.get_layer("scored_items").table.numpy().T
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-5, atol=1e-5)


def authors_loss(right, wrong, beta):
    """Move the right score so that plain cross-entropy gives the loss, as the authors' code does."""
    right, wrong = np.float64(right), np.float64(wrong)
    probability = 1 / (1 + np.exp(-right))
    moved = -np.log(probability**-beta - 1)
    # Theirs is the mean of the three scores' losses, ours the sum.
    return np.logaddexp(0, -moved) + np.logaddexp(0, wrong).sum(-1)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_the_loss_is_that_of_the_authors_code(calibration):
    model = small()
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    history = np.array([[0, 0, 0, 1, 2, 3], [4, 5, 6, 7, 8, 9]], "int32")
    target = np.array([[0, 0, 0, 2, 3, 4], [5, 6, 7, 8, 9, 10]], "int32")
    # Of two kinds of items, so that no target is drawn.
    negative = np.array([[11, 1], [1, 11]], "int32")
    states = model({"history": history}, training=False)["states"].numpy()
    scores = states @ model.get_layer("scored_items").table.numpy().T
    alpha = 2 / (ITEMS - 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    expected = [
        authors_loss(scores[b, p, target[b, p]], scores[b, p, negative[b]], beta)
        for b, p in zip(*np.nonzero(target), strict=True)
    ]
    settings = SequenceSettings(loss="gbce", negatives=2, shared="sequence", calibration=calibration)
    weight = (target > 0).sum(1).astype("float32")
    model = without_dropout(model)
    inputs = {"history": history, "negative": negative}
    loss, _ = SequenceTask(settings).compute_loss(model, inputs, {"target": target[..., None]}, weight, ())
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-4)
    plain = SequenceSettings(loss="bce", negatives=2, shared="sequence")
    bce, _ = SequenceTask(plain).compute_loss(model, inputs, {"target": target[..., None]}, weight, ())
    assert (float(loss) == pytest.approx(float(bce), rel=1e-5)) == (calibration == 0)


def without_dropout(model):
    same = small(dropout=0.0)
    same.set_weights(model.get_weights())
    return same
