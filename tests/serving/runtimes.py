"""Files of other formats, asked in the process of the tests."""

import keras
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from tfzoo.serving.formats import FORMATS

KERAS_VERSION = tuple(int(part) for part in keras.__version__.split(".")[:2])


def _param(name):
    too_old = FORMATS[name].keras_version > KERAS_VERSION
    return pytest.param(name, marks=pytest.mark.skipif(too_old, reason="Keras is too old for this format"))


# The names of the formats, as parameters of a test.
EVERY_FORMAT = [_param(name) for name in FORMATS]


def runner(format_name, file):
    """Return a function from inputs by name to outputs by name."""
    if format_name == "litert":
        ask = Interpreter(str(file)).get_signature_runner("serving_default")
        return lambda inputs: ask(**inputs)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))
