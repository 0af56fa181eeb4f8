"""The random numbers of whoever calls us go on as if we had drawn none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Give Python's and NumPy's global generators back as they were.

    A training seeds them. Without this, the samples that a caller draws between two of them would be the same
    sample again.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
