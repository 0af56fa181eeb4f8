"""What TensorFlow is heard to say while models are fitted and asked."""

import logging

import pandas as pd
import pytest
import tensorflow as tf

import tfzoo
from tfzoo.api.advice import without_tracing_advice


@pytest.fixture
def heard():
    """Return the messages of TensorFlow, as they come."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    log = tf.get_logger()
    level = log.level
    log.addHandler(handler)
    # Commands that ran before in this process have made TensorFlow quiet.
    log.setLevel(logging.WARNING)
    yield messages
    log.setLevel(level)
    log.removeHandler(handler)


def test_several_models_are_no_misuse_of_one(toy, heard):
    for _ in range(6):
        fitted = tfzoo.fit(toy, "ease", verbose=False)
        fitted.recommend(107, k=2)
        fitted.recommend_from_history(["film-03"], k=2)
        fitted.similar_items("film-03", k=2)
        fitted.predict(pd.DataFrame({"user_id": [107], "item_id": ["film-03"]}))
    assert heard == []


def test_all_else_passes_and_everything_afterwards(heard):
    advice = "5 out of the last 5 calls triggered tf.function retracing."

    @without_tracing_advice()
    def fail():
        tf.get_logger().warning(advice)
        tf.get_logger().warning("something else")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    tf.get_logger().warning(advice)
    assert heard == ["something else", advice]
