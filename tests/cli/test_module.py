"""`python -m tfzoo` is the command."""

import subprocess
import sys

import tfzoo


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "tfzoo", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.strip() == f"tfzoo {tfzoo.__version__}"
    wrong = subprocess.run([sys.executable, "-m", "tfzoo", "trane"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "trane" in wrong.stderr
