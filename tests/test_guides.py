"""Guides whose blocks are executed as those of tutorials are."""

import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tests.tutorial_runner import ROOT, environment, read_page


@pytest.mark.slow
@pytest.mark.parametrize("page", ["online-learning", pytest.param("explanations", marks=pytest.mark.data)])
def test_a_guide_does_what_it_says(page, tmp_path):
    path = ROOT / "docs" / f"{page}.md"
    command = [sys.executable, "-m", "tests.tutorial_runner", str(path), str(tmp_path)]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    blocks = read_page(path.read_text(encoding="utf-8"))
    assert done.stdout.splitlines()[-1] == f"{len(blocks)} blocks were executed."
