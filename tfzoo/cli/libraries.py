"""Imports TensorFlow and Keras for a command: without their chatter, and with the settings it needs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tfzoo.cli.mending import TENSORFLOW, backend_problem, import_problem, keras_settings, not_working

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# What recipes are written for. Keras' own settings may say otherwise, for all programs of a user.
KERAS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def load_libraries(*, verbose: bool = False) -> None:
    """Import TensorFlow and Keras, and look for devices.

    Their lines on standard error, such as those on drivers that a machine does not have, are left out,
    and so are TensorFlow's later warnings; its errors are not.

    Args:
        verbose: print these lines.

    Raises:
        TfzooError: they cannot be imported, or Keras runs on another library than TensorFlow.
    """
    os.environ.setdefault(LEVEL, "0" if verbose else "2")
    try:
        if verbose:
            _import()
        else:
            with silent_stderr():
                _import()
            # What it warns of later, such as functions compiled anew for each seed, is nothing to act on.
            logging.getLogger(TENSORFLOW).setLevel(logging.ERROR)
    except Exception as error:  # A broken library may raise anything.
        lines = f"{type(error).__name__}: {error}".strip().splitlines()
        raise not_working([import_problem(lines[-1][:300])]) from error
    import keras

    if keras.backend.backend() != TENSORFLOW:
        raise not_working([backend_problem(keras.backend.backend())])
    _settle()


def _import() -> None:
    tensorflow = importlib.import_module("tensorflow")
    importlib.import_module("keras")
    # The first look at the devices is what the drivers are complained of at.
    tensorflow.config.list_physical_devices()


def _settle() -> None:
    """Put aside Keras' own settings, which would change figures or stop a training, and say so."""
    import keras

    found = {name: getattr(keras.config, name)() for name in KERAS}
    other = {name: value for name, value in found.items() if value != KERAS[name]}
    if not other:
        return
    for name in other:
        getattr(keras.config, f"set_{name}")(KERAS[name])
    keras.config.set_dtype_policy("float32")
    names = ", ".join(f"{name} {value}" for name, value in other.items())
    instead = ", ".join(str(KERAS[name]) for name in other)
    print(f"tfzoo: note: {names} of {keras_settings()[0]} is not used, but {instead}.", file=sys.stderr)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what the block writes to standard error, from Python or not."""
    try:
        kept = os.dup(2)
    except OSError:
        # There is none.
        yield
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
        yield
    finally:
        # What is still in Python's buffer belongs to the block.
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
