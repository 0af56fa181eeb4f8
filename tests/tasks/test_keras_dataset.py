"""Batches of tasks for Keras' own fit."""

import keras
import numpy as np
import pytest

from tests.zoo import build
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.tasks import get_task


def batches(task, name, toy, **options):
    model = build(name, 0, 0.3, toy.num_users, toy.num_items)
    return model, *get_task(task)().keras_dataset(model, Split(toy, toy, toy, ""), **options)


def test_an_epoch_holds_every_rating_once(toy):
    _, dataset, steps = batches("rating", "biased-mf", toy, batch_size=64)
    assert steps == -(-len(toy) // 64)
    inputs, labels, weight = zip(*dataset.take(steps), strict=True)
    kept = np.concatenate(weight) > 0
    seen = [np.concatenate([one[side] for one in inputs])[kept] for side in ("user_id", "item_id")]
    rating = np.concatenate([one["rating"] for one in labels])[kept]
    expected = sorted(zip(toy.user_id, toy.item_id, toy.rating, strict=True))
    assert sorted(zip(*seen, rating, strict=True)) == expected


@pytest.mark.parametrize(("task", "name", "loss"), [("rating", "edrs", "mse"), ("implicit", "gmf", "bce")])
def test_keras_fits_it(toy, task, name, loss):
    model, dataset, steps = batches(task, name, toy, batch_size=128)
    loss = keras.losses.BinaryCrossentropy() if loss == "bce" else get_task(task)().loss()
    model.compile(keras.optimizers.Adam(1e-2), loss)
    history = model.fit(dataset, steps_per_epoch=steps, shuffle=False, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_losses_that_need_more_than_outputs_are_refused(toy):
    with pytest.raises(UsageError, match="'reconstruction' is no function of outputs and labels alone"):
        batches("reconstruction", "mult-dae", toy)
