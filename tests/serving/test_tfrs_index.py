"""Indexes of TensorFlow Recommenders: in a process of its own with Keras 2, the lists of the exact index."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.patience import PATIENCE
from tfzoo.errors import UsageError
from tfzoo.serving.tfrs_index import tfrs_index

OTHER_PROCESS = """
import json, sys
import numpy as np, tensorflow as tf
from tfzoo.models import create_model
from tfzoo.serving.cells import Cells
from tfzoo.serving.index import ExactIndex
from tfzoo.serving.tfrs_index import tfrs_index
from tfzoo.tasks import get_task
from tfzoo.tasks.implicit import ImplicitScorer

class Features:
    num_ids, ids_per_call, reads_rows = {"user": 30, "item": 500}, 2048, False

    def side(self, side, ids):
        return {f"{side}_id": ids}

model = create_model("gmf", 30, 500)
for seed, weight in enumerate(model.weights):
    weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
factors = ImplicitScorer(model, Features()).factors()
queries, offset = factors.queries(tf.range(1, 9))
hidden = tf.Variable(np.arange(501) == 0)
nothing = Cells(tf.zeros([0], tf.int32), tf.zeros([0], tf.int32), tf.constant(501))
scores, items = ExactIndex(factors.vectors, hidden).search(queries, nothing, tf.constant(10))
found = {"exact": [items.numpy().tolist(), scores.numpy().tolist()]}
vectors, ids = factors.vectors.numpy()[1:], np.arange(1, 501)
for kind in json.loads(sys.argv[1]):
    options = {"num_leaves": 4, "num_leaves_to_search": 4} if kind == "scann" else {}
    scores, items = tfrs_index(vectors, ids, kind=kind, k=10, **options)(queries)
    found[kind] = [items.numpy().tolist(), scores.numpy().tolist()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    kinds = ["brute-force", "streaming"]
    if importlib.util.find_spec("scann"):
        kinds.append("scann")
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, json.dumps(kinds)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["brute-force", "streaming", "scann"])
def test_the_lists_are_those_of_the_exact_index(found, kind):
    if kind not in found:
        pytest.skip("the package scann is not installed")
    items, scores = map(np.array, found[kind])
    expected_items, expected_scores = map(np.array, found["exact"])
    assert items.shape == (8, 10)
    if kind == "scann":
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(items, expected_items, strict=True)]) > 0.9
        return
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(os.environ.get("TF_USE_LEGACY_KERAS") == "1", reason="this process has Keras 2")
def test_without_keras_2_the_error_says_what_to_do():
    with pytest.raises(UsageError, match=r"TF_USE_LEGACY_KERAS=1 in the environment before the"):
        tfrs_index(np.ones((3, 2), np.float32), [1, 2, 3])


def test_another_kind_is_refused():
    with pytest.raises(UsageError, match=r"one of brute-force, streaming, scann. Received 'annoy'"):
        tfrs_index(np.ones((3, 2), np.float32), [1, 2, 3], kind="annoy")
