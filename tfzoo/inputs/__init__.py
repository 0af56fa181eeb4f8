"""One kind of model input a file: what fills it, found by the input's name."""

from tfzoo.inputs.base import (
    INPUTS,
    Case,
    Input,
    Known,
    automatic_value,
    make_input,
    register_input,
)

__all__ = [
    "INPUTS",
    "Case",
    "Input",
    "Known",
    "automatic_value",
    "make_input",
    "register_input",
]
