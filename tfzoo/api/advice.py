"""Silence for advice of TensorFlow that does not apply to fitted models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

ADVICE = "triggered tf.function retracing"


@contextmanager
def without_tracing_advice() -> Iterator[None]:
    """Keep TensorFlow from warning of functions that are traced again and again.

    Every model has graphs of its own: several that are fitted one after the other look to TensorFlow like one
    function that is used wrongly. All other messages pass, and this one too outside of our calls.
    """

    def passes(record: logging.LogRecord) -> bool:
        return ADVICE not in record.getMessage()

    log = tf.get_logger()
    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)
