"""No data, recipe, checkpoint or model may run code: the package has no way to let it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tfzoo.training import yaml_text

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "tfzoo").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"),
    *("tarfile", "code", "codeop", "pty", "pdb"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "shutil.unpack_archive"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("keras.config.enable_unsafe_deserialization", "keras.models.model_from_json", "np.fromregex"),
    *("tf.saved_model.load_v1", "tf.py_function", "tf.numpy_function", "urllib.request.urlretrieve"),
}
# The one call of yaml.load, with a loader that the test below checks.
LOADER = ("yaml_text.py", "_Loader")


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def constant(call: ast.Call, name: str) -> object:
    """Return the value of a keyword argument, ``...`` where it is none that stands in the source."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == name]
    if not values:
        return None
    return values[0].value if isinstance(values[0], ast.Constant) else ...


def ways_to_run_code(source: str, file: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
            if node.module in ("os", "subprocess", "yaml", "builtins"):
                names |= {f"from {node.module} import {alias.name}" for alias in node.names}
        else:
            names = set()
        for name in names:
            if name in MODULES or name.startswith("from "):
                yield f"{file}:{line}: {name}"
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        wrong = called in CALLS or called.startswith(("os.exec", "os.spawn"))
        if called == "yaml.load":
            wrong = len(node.args) != 2 or (file, dotted(node.args[1])) != LOADER
        elif called in ("np.load", "numpy.load"):
            wrong = constant(node, "allow_pickle") is not False
        elif called.endswith("load_model"):
            wrong = constant(node, "safe_mode") not in (None, True)
        if constant(node, "shell") not in (None, False) or constant(node, "allow_pickle") not in (
            None,
            False,
        ):
            wrong = True
        if wrong:
            yield f"{file}:{line}: {called}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_can_run_code_out_of_data(path: Path) -> None:
    assert list(ways_to_run_code(path.read_text(encoding="utf-8"), path.name)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "def f():\n    import dill",
        "eval('1')",
        "x = exec(text)",
        "os.system('ls')",
        "os.execv(a, b)",
        "from os import system",
        "from subprocess import run",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=wanted)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=wanted)",
        "np.save(path, values, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, yaml.Loader)",
        "yaml.unsafe_load(text)",
        "from yaml import load",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
        "tarfile.open(path)\nimport tarfile",
    ],
)
def test_the_scan_finds_what_it_looks_for(source: str) -> None:
    assert len(list(ways_to_run_code(source, "a.py"))) == 1


def test_the_scan_reads_the_whole_package() -> None:
    assert len(SOURCES) > 100
    assert list(ways_to_run_code("yaml.load(text, _Loader)\nnp.load(a, allow_pickle=False)", LOADER[0])) == []


def test_the_loader_of_recipes_is_a_safe_one() -> None:
    assert issubclass(yaml_text._Loader, yaml.SafeLoader)
    makers = {tag for tag in yaml_text._Loader.yaml_constructors if tag and "python" in tag}
    assert makers == set()
    assert not {prefix for prefix in yaml_text._Loader.yaml_multi_constructors if prefix}
