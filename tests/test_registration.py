"""Keras finds the classes of saved models by themselves, and the import of the package stays cheap."""

import subprocess
import sys
from importlib import import_module

import keras
import pytest

from tests.patience import PATIENCE
from tfzoo.layers import ItemTable
from tfzoo.registration import Later, registered_names


def fresh(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_the_names_are_those_that_are_registered():
    for name, module in registered_names().items():
        found = getattr(import_module(module), name)
        assert keras.saving.get_registered_name(found) == f"tfzoo>{name}"
        assert keras.saving.get_registered_object(f"tfzoo>{name}") is found
    ours = {
        key
        for key, value in keras.saving.get_custom_objects().items()
        if key.startswith("tfzoo>") and value.__module__.startswith("tfzoo.")
    }
    assert ours == {f"tfzoo>{name}" for name in registered_names()}


@pytest.mark.parametrize("imports", ["keras, tfzoo", "tfzoo, keras", "tfzoo, tensorflow, keras"])
def test_keras_knows_the_names_whatever_is_imported_first(imports):
    code = f"""import {imports}
import sys
assert not any(name.startswith("tfzoo.layers") for name in sys.modules)
names = {{"class_name": "Positions", "registered_name": "tfzoo>Positions", "module": "elsewhere"}}
layer = type(keras.layers.deserialize({{**names, "config": {{"name": "positions"}}}}))
print(layer.__module__, keras.saving.get_registered_object("tfzoo>Positions") is layer)
assert not any(type(finder).__module__.startswith("tfzoo") for finder in sys.meta_path)
"""
    assert fresh(code) == "tfzoo.layers.histories True"


def test_importing_the_package_imports_no_library():
    code = "import sys, tfzoo; print({'keras', 'tensorflow', 'numpy', 'pandas', 'jax'} & set(sys.modules))"
    assert fresh(code) == "set()"


def test_a_failed_import_of_keras_is_tried_again_with_the_names():
    code = """
import sys, tfzoo
sys.modules["keras.src"] = None
try:
    import keras
except ImportError as error:
    print("refused")
del sys.modules["keras.src"]
import keras
print(keras.saving.get_registered_object("tfzoo>Bias").from_config({}).name)
"""
    assert fresh(code).splitlines() == ["refused", "bias"]


def test_a_stand_in_is_what_it_stands_for():
    later = Later("tfzoo.layers.item_table", "ItemTable")
    assert repr(later) == "<tfzoo.layers.item_table.ItemTable, not imported yet>"
    assert later.from_config == ItemTable.from_config
    assert type(later(3, 2)) is ItemTable
    with pytest.raises(AttributeError):
        _ = later.no_such
