"""Exports that several files ask."""

from dataclasses import replace

import numpy as np
import pytest

from tests.serving.keras_truth import UNTRAINED, export, small_model
from tfzoo.models import list_models


@pytest.fixture(scope="session")
def train(toy):
    part = toy.take(np.flatnonzero((np.arange(len(toy)) < 200) & (toy.item_id != 6)))
    assert toy.items.lookup(UNTRAINED) == 6
    assert (np.delete(part.item_counts()[1:], 5) > 0).all()
    words = np.array(["a", "dull", "film", "with", "a", "good", "end", "and", "loud", "noise"], object)
    chosen = zip(part.user_id % 10, part.item_id % 10, part.user_id * part.item_id % 10, strict=True)
    text = np.array([" ".join(words[list(three)]) for three in chosen], object)
    return replace(part, text=text)


@pytest.fixture(scope="session")
def exported_models(train, tmp_path_factory):
    """Return every model by its name, and the folder of its export."""
    folder = tmp_path_factory.mktemp("exports")
    models = {name: small_model(name, train) for name in list_models()}
    return models, {name: export(name, model, train, folder / name) for name, model in models.items()}
