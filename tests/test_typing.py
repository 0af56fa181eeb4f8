"""Type checkers and editors know every public name and every builder's arguments."""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import tfzoo
from scripts.write_stubs import stubs
from tests.patience import PATIENCE
from tfzoo.models import registry

ROOT = Path(__file__).parents[1]
# Each line ends with the kind of error that mypy finds in it, and with that of pyright; "right" for none.
SCRIPT = """
import tfzoo
from tfzoo.models import EDRS

tfzoo.no_such()  # attr-defined reportAttributeAccessIssue
tfzoo.models.NoSuchModel(943, 1682)  # attr-defined reportAttributeAccessIssue
EDRS(943, 1682, embeding_dim=3)  # call-arg reportCallIssue
EDRS("x", 1682)  # arg-type reportArgumentType
tfzoo.create_model("edrs", "x", 1682)  # arg-type reportArgumentType
EDRS(943, 1682, embedding_dim=3)  # right
tfzoo.models.BiasedMF(943, 1682)  # right
version: str = tfzoo.__version__  # right
names: list[str] = tfzoo.list_models("e*")  # right
"""
LINES = SCRIPT.splitlines()
MYPY = {number: line.split()[-2] for number, line in enumerate(LINES, 1) if re.search(r"# \S+ \S+$", line)}
PYRIGHT = {number: line.split()[-1] for number, line in enumerate(LINES, 1) if number in MYPY}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A script, and a Python that has the package as an editable installation leaves it: as a path."""
    folder = tmp_path_factory.mktemp("typing")
    venv.create(folder / "venv", system_site_packages=True, with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    Path(site.stdout.strip(), "tfzoo.pth").write_text("\n".join(paths) + "\n")
    (folder / "script.py").write_text(SCRIPT)
    return folder, python


def check(folder, *command):
    """Run a checker in a folder where it finds the package by the installation alone."""
    if importlib.util.find_spec(command[0]) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{command[0]} is not installed; CI must run it.", pytrace=False)
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_mypy_finds_what_is_wrong_and_nothing_else(script):
    folder, python = script
    output = check(folder, "mypy", "--python-executable", str(python), "--cache-dir", "cache", "script.py")
    found = re.findall(r"^script\.py:(\d+): error: .*\[([a-z-]+)\]$", output, re.MULTILINE)
    assert {int(line): kind for line, kind in found} == MYPY, output[-3000:]


def test_pyright_finds_what_is_wrong_and_nothing_else(script):
    folder, python = script
    output = check(folder, "pyright", "--pythonpath", str(python), "--outputjson", "script.py")
    found = [one for one in json.loads(output)["generalDiagnostics"] if one["severity"] == "error"]
    assert {one["range"]["start"]["line"] + 1: one.get("rule") for one in found} == PYRIGHT, output[-3000:]


def test_the_stubs_are_those_of_the_package():
    for path, text in stubs().items():
        assert path.read_text(encoding="utf-8") == text, "run: python scripts/write_stubs.py"


def test_completion_offers_every_public_name_and_every_builder():
    assert set(tfzoo.__all__) <= set(dir(tfzoo))
    offered = dir(tfzoo.models)
    assert {"EDRS", "BiasedMF", "SASRec", "create_model"} <= set(offered)
    assert registry.builders().keys() <= set(offered)
    for name in (*tfzoo.__all__, "models"):
        assert getattr(tfzoo, name) is not None


def test_an_editable_installation_is_a_path_that_checkers_follow():
    """Setuptools installs a finder instead, which is code, unless the folder of the packages is said."""
    if not os.environ.get("CI"):
        pytest.skip("the installation may be of another checkout; CI installs this one")
    # The checkout has metadata of its own, of the build, which may be found first.
    found = importlib.metadata.distributions(name="tfzoo", path=[sysconfig.get_path("purelib")])
    files = [file for distribution in found for file in distribution.files or []]
    texts = [file.locate().read_text().strip() for file in files if file.suffix == ".pth"]
    assert [Path(text).resolve() for text in texts] == [ROOT.resolve()]
