import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import tfzoo
from tests.patience import PATIENCE
from tfzoo import installation
from tfzoo.cli import main

ROOT = Path(__file__).parents[1]
# Of https://www.apache.org/licenses/LICENSE-2.0.txt, without the white space that copies differ in.
APACHE = "ddacef491153f45022f5619519bb2016374a8c36e75153768493f45fb38d7992"


@pytest.fixture(scope="module")
def config():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_licence_is_the_whole_standard_text(config):
    text = "".join((ROOT / "LICENSE").read_text().split())
    assert hashlib.sha256(text.encode()).hexdigest() == APACHE
    assert config["metadata"]["license"] == "Apache-2.0"


def test_one_version_stands_everywhere(config, capsys):
    version = config["metadata"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version)
    assert tfzoo.__version__ == version
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tfzoo {version}\n"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (version, "Apache-2.0")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    first = re.search(r"^## \[(.+?)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first is not None
    assert first[1] in (version, "Unreleased")
    assert re.fullmatch(r"Unreleased|\d{4}-\d{2}-\d{2}", first[2])


def test_the_python_versions_agree(config):
    prefix = "Programming Language :: Python :: 3."
    lines = config["metadata"]["classifiers"].splitlines()
    minors = sorted(int(line.removeprefix(prefix)) for line in lines if line.startswith(prefix))
    assert config["options"]["python_requires"] == f">=3.{minors[0]}"
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_what_is_needed_is_capped_at_a_major_version_alone_and_has_a_lower_bound():
    for needed in installation.requirements():
        if needed.extra == "dev":
            continue
        assert re.fullmatch(r">=[\d.]+(,<\d+)?", needed.versions), needed


def test_an_installed_package_says_the_same_as_the_checkout(monkeypatch):
    """Reading the metadata of a distribution gives what reading ``setup.cfg`` gives."""
    lines, extras = [], configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    for needed in installation.requirements():
        marker = f"; extra == '{needed.extra}'" if needed.extra else ""
        lines.append(f"{needed.name}{needed.versions}{marker}")
    expected = installation.requirements()
    monkeypatch.setattr(installation, "_setup_cfg", lambda: None)
    monkeypatch.setattr(installation.importlib.metadata, "requires", lambda name: lines)
    assert installation.requirements() == expected


def own_files():
    """Return the paths of everything in the package that is not compiled, relative to its folder."""
    listed = subprocess.run(
        ["git", "ls-files", "tfzoo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.splitlines())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and source archive, built from a copy of what git has."""
    folder = tmp_path_factory.mktemp("release")
    source = folder / "source"
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    # The backend itself, as pip would fetch another one from the network. It changes `sys.argv`.
    backend = "import sys; from setuptools import build_meta as b; to = sys.argv[1]; "
    backend += "b.build_sdist(to); b.build_wheel(to)"
    done = subprocess.run(
        [sys.executable, "-c", backend, str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "would be ignored" not in done.stderr
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


@pytest.mark.slow
def test_wheel_and_source_archive_hold_the_whole_package(built):
    wheel, archive = built
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        metadata = opened.read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert own_files() <= names
    assert "tfzoo/py.typed" in names
    assert not any(name.startswith(("tests/", "scripts/", "results/", "benchmarks/")) for name in names)
    assert any(name.endswith("/LICENSE") for name in names)
    assert re.search(r"^License(-Expression)?: Apache-2.0$", metadata, re.M)
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    assert own_files() <= inside
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "setup.cfg", "pyproject.toml"} <= inside


@pytest.mark.slow
@pytest.mark.data
def test_the_wheel_works_outside_the_checkout(built, tmp_path):
    """A fresh environment sees the libraries of this one, but not the checkout."""
    environment = tmp_path / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=PATIENCE
    )
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    here = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    (packages,) = environment.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", str(built[0])], check=True, capture_output=True, timeout=PATIENCE
    )
    # After its own packages; an editable installation of the checkout in `here` is not followed.
    (packages / "others.pth").write_text(f"{here}\n")

    def run(*command):
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [str(environment / "bin" / command[0]), *command[1:]],
            cwd=tmp_path,
            env={**kept, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run("python", "-c", "import tfzoo; print(tfzoo.__file__, tfzoo.__version__)")
    assert said.split() == [str(packages / "tfzoo" / "__init__.py"), tfzoo.__version__]
    assert "edrs" in run("tfzoo", "list")
    assert "ndcg@10" in run("tfzoo", "train", "--model", "popularity", "--no-export")
    assert (tmp_path / "runs" / "popularity-ml-100k-paper" / "seed-0" / "record.json").is_file()
    run("python", "-c", "import tfzoo; tfzoo.load_pretrained('pmf-ml-100k')")
    assert "All is there" in run("tfzoo", "doctor")
