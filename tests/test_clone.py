"""The package is found in the folder above a clone, and only our own models are tested."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE
from tfzoo.models import list_models
from tfzoo.models.registry import declared_in

ROOT = Path(__file__).parents[1]


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_the_folder_above_a_clone_imports_the_package(tmp_path):
    clone = tmp_path / "tfzoo"
    ignored = shutil.ignore_patterns("__pycache__", "pretrained_models")
    shutil.copytree(ROOT / "tfzoo", clone / "tfzoo", ignore=ignored)
    for name in ("__init__.py", "setup.cfg"):
        shutil.copy(ROOT / name, clone)
    shown = "tfzoo.__file__, 'edrs' in tfzoo.list_models(), tfzoo.errors.__file__"
    code = f"import tfzoo, tfzoo.errors; print({shown})"
    done = run("-c", code, cwd=tmp_path, PYTHONPATH="")
    expected = f"{clone}/tfzoo/__init__.py True {clone}/tfzoo/errors.py\n"
    assert (done.stdout, done.stderr) == (expected, "")
    done = run("-m", "tfzoo", "--version", cwd=tmp_path, PYTHONPATH="")
    assert done.stdout.startswith("tfzoo ")
    # Inside, the package is found itself.
    done = run("-c", "import tfzoo; print(tfzoo.__file__)", cwd=clone, PYTHONPATH="")
    assert done.stdout == f"{clone}/tfzoo/__init__.py\n"


def test_a_clone_of_another_name_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    shutil.copy(ROOT / "__init__.py", tmp_path / "mine")
    done = run("-c", "import mine; print(mine.__file__)", cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"{tmp_path}/mine/__init__.py\n", "")


def test_models_of_other_packages_are_not_tested(tmp_path):
    (tmp_path / "theirs.dist-info").mkdir()
    (tmp_path / "theirs.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n"
    )
    (tmp_path / "theirs.dist-info" / "entry_points.txt").write_text("[tfzoo.models]\ntheir-model = theirs\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    listed = run("-c", "import tfzoo; print(tfzoo.list_models('their*'))", cwd=tmp_path, PYTHONPATH=path)
    assert listed.stdout == "['their-model']\n"
    test = f"{ROOT}/tests/test_clone.py::test_our_models_are_listed"
    done = run("-m", "pytest", "-n", "0", "-p", "no:cacheprovider", test, cwd=ROOT, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout


def test_our_models_are_listed():
    assert list_models() == sorted(declared_in())
