"""Commands where TensorFlow or Keras are not as tfzoo needs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.patience import PATIENCE
from tfzoo.cli import libraries, main
from tfzoo.cli.libraries import load_libraries
from tfzoo.cli.main import WITHOUT_LIBRARIES, build_parser
from tfzoo.cli.mending import import_problem
from tfzoo.errors import TfzooError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.training.recipe import load_recipe

ROOT = Path(__file__).parents[2]
# One use of each command, none of which gets as far as to need its files.
USES = {
    "train": ["--model", "pmf"],
    "tune": ["--model", "pmf", "--output", "a"],
    "update": ["a", "--data", "b"],
    "shard": ["a.csv", "--output", "b"],
    "recommend": ["--user", "1"],
    "swap-candidates": ["--model", "a", "--items", "b"],
    "info": ["pmf"],
    "plot": ["a"],
    "compare": ["a", "b"],
    "significance": [],
    "pretrained": ["list"],
}


def commands():
    return next(a.choices for a in build_parser()._actions if a.dest == "command")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Return what writes Keras' own settings."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    def write(**values):
        (tmp_path / "keras").mkdir()
        (tmp_path / "keras" / "keras.json").write_text(json.dumps(values), encoding="utf-8")

    return write


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tfzoo", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("command", sorted(set(commands()) - WITHOUT_LIBRARIES))
def test_every_command_says_what_is_wrong_with_the_libraries(command, monkeypatch, capsys):
    def broken():
        raise ValueError("Unable to import backend : nope")

    monkeypatch.setattr(libraries, "_import", broken)
    monkeypatch.setenv("KERAS_BACKEND", "nope")
    assert main([command, *USES.get(command, [])]) == 1
    assert capsys.readouterr().err == (
        "tfzoo: error: the installation does not work: TensorFlow or Keras cannot be imported (ValueError: "
        "Unable to import backend : nope). "
        "Mend it with: setting KERAS_BACKEND=tensorflow or leaving it unset\n"
    )


def test_another_backend_is_one_message(tmp_path):
    done = run("evaluate", cwd=tmp_path, KERAS_BACKEND="numpy")
    assert done.returncode == 1
    # Keras' own backend for NumPy is whole only beside JAX.
    assert re.fullmatch(
        r"tfzoo: error: the installation does not work: (Keras runs on 'numpy'|TensorFlow or Keras cannot be "
        r"imported \(.*\))\. Mend it with: setting KERAS_BACKEND=tensorflow or leaving it unset\n",
        done.stderr,
    )


def test_what_mends_a_backend_that_the_settings_name(settings, tmp_path):
    settings(backend="jax")
    assert import_problem("ModuleNotFoundError: No module named 'jax'")[1] == (
        f'setting KERAS_BACKEND=tensorflow, or "backend" to "tensorflow" in {tmp_path}/keras/keras.json'
    )


def test_what_mends_settings_that_keras_refuses(settings, tmp_path):
    settings(floatx="float99")
    wrong, mending = import_problem("ValueError: Invalid `floatx` configuration.")
    assert "Invalid `floatx`" in wrong
    assert mending == f"correcting or removing {tmp_path / 'keras' / 'keras.json'}"


def test_double_precision_in_the_settings_of_keras_does_not_stop_a_training(settings, tmp_path, toy):
    settings(floatx="float64", epsilon=0.001, backend="tensorflow")
    pairs = zip(toy.users.decode(toy.user_id), toy.items.decode(toy.item_id), toy.ratings, strict=True)
    text = "user_id,item_id,rating\n" + "".join(f"{u},{i},{r:g}\n" for u, i, r in pairs)
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    fast = ["--set", "training.epochs=2", "--set", "training.jit_compile=false", "--no-export"]
    done = run("train", "--model", "edrs", "--data", "r.csv", *fast, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == (
        f"tfzoo: note: floatx float64, epsilon 0.001 of {tmp_path}/keras/keras.json is not used, "
        "but float32, 1e-07.\n"
    )
    (path,) = tmp_path.glob("runs/*/seed-0/record.json")
    assert json.loads(path.read_text(encoding="utf-8"))["precision"] == "float32"


def test_a_program_of_ones_own_is_told_of_double_precision(toy):
    recipe = load_recipe("pmf", "toy")
    keras.config.set_floatx("float64")
    try:
        with pytest.raises(UsageError, match=r"say float64, expected float32\."):
            Experiment.prepare(recipe, toy, 0).build()
    finally:
        keras.config.set_floatx("float32")


def test_a_backend_that_is_not_tensorflow_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(TfzooError, match="Keras runs on 'torch'"):
        load_libraries()


def test_later_warnings_of_tensorflow_are_for_verbose_alone():
    # One process, which takes seconds to start, says both.
    code = """
from tfzoo.cli.libraries import load_libraries
for verbose in (True, False):
    load_libraries(verbose=verbose)
    import tensorflow as tf
    tf.get_logger().warning(f"of a library, verbose {verbose}")
    tf.get_logger().error(f"of an error, verbose {verbose}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if ", verbose " in line]
    assert [line.partition("of a")[2] for line in said] == [
        " library, verbose True",
        "n error, verbose True",
        "n error, verbose False",
    ]


def test_nothing_reaches_standard_error():
    code = """
import os, sys
from tfzoo.cli.libraries import silent_stderr
with silent_stderr():
    os.write(2, b"of a library\\n")
    print("of Python", file=sys.stderr)
print("of tfzoo", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "of tfzoo\n")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell of POSIX")
def test_a_process_without_standard_error_works():
    code = "from tfzoo.cli.libraries import silent_stderr\nwith silent_stderr(): print('here')"
    done = subprocess.run(
        f'exec "{sys.executable}" -c "{code}" 2>&-', shell=True, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, "here\n")
