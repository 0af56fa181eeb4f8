"""Other libraries in processes of their own, which wait for their turn."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tfzoo.errors import TfzooError


class Peer:
    """A worker program that trains and measures a model of another library.

    Args:
        program: file of the worker, see `recbole_worker`.
        arguments: for the worker.
        python: the Python that has the library.

    Raises:
        TfzooError: the worker ends before its first answer.
    """

    def __init__(self, program: Path, arguments: list[str], python: str = sys.executable) -> None:
        self._command = [python, str(program), *arguments]
        # A file and no pipe, which nobody empties: a worker that says much would wait forever.
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.about: dict[str, Any] = self._answer()
        self.examples: int = self.about["examples"]
        self.last: dict[str, Any] = {}

    @classmethod
    def recbole(cls, model: str, batch_size: int, settings: dict[str, Any], python: str | None) -> Peer:
        """Return RecBole's version of a model on ml-100k; ``python`` has RecBole, None for this one."""
        arguments = [model, "--batch-size", str(batch_size), "--settings", json.dumps(settings)]
        return cls(Path(__file__).with_name("recbole_worker.py"), arguments, python or sys.executable)

    @classmethod
    def surprise(cls, model: str, parts: list[Path], python: str | None) -> Peer:
        """Return Surprise's version of a model on a train and a test file; see `recbole` for ``python``."""
        program = Path(__file__).with_name("surprise_worker.py")
        return cls(program, [model, *map(str, parts)], python or sys.executable)

    def epochs(self, count: int) -> float:
        """Train so many epochs and return the seconds that the worker measured."""
        return self._turn(f"train {count}")

    def evaluate(self) -> float:
        """Measure the test part and return the seconds."""
        return self._turn("evaluate")

    def close(self) -> None:
        """End the worker, which does so by itself where its input ends."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._said.close()

    def _turn(self, order: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        self.last = self._answer()
        seconds: float = self.last["seconds"]
        return seconds

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            last = self._said.read().strip().splitlines()[-1:]
            raise TfzooError(f"{' '.join(self._command)} ended: {' '.join(last)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def can_import(package: str, python: str | None) -> bool:
    """Tell whether a package can be imported, here or by another Python."""
    if python is None:
        return importlib.util.find_spec(package) is not None
    return (
        subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0
    )


def compared(found: dict[str, list[float]], *, ours: str, more_is_better: bool) -> dict[str, Any]:
    """Return medians, and how many times better ours is than each other side, as median over rounds.

    Args:
        found: for each side a figure a round.
        ours: name of the side that is compared.
        more_is_better: whether the figures are rates rather than times.
    """
    answer: dict[str, Any] = {}
    for name, figures in found.items():
        pairs = zip(found[ours], figures, strict=True)
        ratios = [a / b if more_is_better else b / a for a, b in pairs]
        answer[name] = {
            "figures": figures,
            "median": statistics.median(figures),
            "times": statistics.median(ratios),
        }
    return answer
