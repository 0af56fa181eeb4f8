"""Starting NeuMF from a trained GMF and a trained MLP."""

import keras
import numpy as np
import pytest

from tests.zoo import table
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.tasks import ImplicitTask
from tfzoo.tasks.implicit import logit_model
from tfzoo.training.pretraining import pretrain
from tfzoo.training.settings import PretrainingSettings
from tfzoo.training.trainer import Trainer

OPTIONS = {"embedding_dim": 3, "layers": (8, 4), "initial_stddev": 0.3}
PARTS = {"gmf": {"embedding_dim": 3, "initial_stddev": 0.3}, "mlp": {"layers": (8, 4), "initial_stddev": 0.3}}
SETTINGS = PretrainingSettings(
    alpha=0.25, training={"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "jit_compile": False}
)


@pytest.fixture(scope="module")
def train():
    user, item = np.nonzero(np.random.default_rng(0).random((6, 8)) < 0.4)
    return table(user + 1, item + 1, num_users=6, num_items=8)


def test_the_model_starts_as_the_mix_of_its_trained_parts(train):
    task = ImplicitTask()
    neumf = create_model("neumf", 6, 8, **OPTIONS)
    features = task.features(neumf, Split(train, train, train, ""), train)
    pretrain(neumf, "neumf", OPTIONS, task, features, train, SETTINGS, seed=5)
    inputs = {"user_id": np.arange(7), "item_id": np.arange(7) + 2}
    logits = []
    for part, options in PARTS.items():
        keras.utils.set_random_seed(5)
        model = create_model(part, 6, 8, **options)
        before = model.get_weights()
        Trainer(model, task, features, train, SETTINGS.training, seed=5).fit(None)
        assert not np.allclose(model.get_weights()[0], before[0], atol=1e-3)
        logits.append(logit_model(model)(inputs).numpy())
    np.testing.assert_allclose(
        logit_model(neumf)(inputs), 0.25 * logits[0] + 0.75 * logits[1], rtol=1e-4, atol=1e-5
    )
    assert np.ptp(logits[0] - logits[1]) > 0.01


def test_a_model_without_parts_is_refused(train):
    task, model = ImplicitTask(), create_model("gmf", 6, 8)
    features = task.features(model, Split(train, train, train, ""), train)
    with pytest.raises(UsageError, match="'gmf' has no parts to pre-train"):
        pretrain(model, "gmf", {}, task, features, train, SETTINGS, seed=0)
