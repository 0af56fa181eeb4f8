"""A command that the memory does not suffice for ends with one message."""

import pytest

from tests.cli.test_names import train, write
from tfzoo import experiment
from tfzoo.cli import main, results
from tfzoo.machine import is_out_of_memory


class ResourceExhaustedError(Exception):
    """As TensorFlow calls it."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log.csv")
    return tmp_path


def test_what_cannot_fit_is_refused_before_anything_is_made(here, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "memory_limit", lambda: 100_000)
    options = ["--set", "builder.embedding_dim=1000", "--no-export"]
    assert train("log.csv", *options, model="biased-mf") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("tfzoo: error: Model 'biased-mf' for 12 users and 15 items does not fit")
    assert not list(here.glob("runs/*/*"))


@pytest.mark.parametrize("kind", [MemoryError, ResourceExhaustedError])
def test_an_allocation_that_fails_is_one_message(here, monkeypatch, capsys, kind):
    def fail(_):
        try:
            raise kind("OOM when allocating tensor\nwith shape[9,9]")
        except kind as error:
            raise RuntimeError("in the middle of it") from error

    monkeypatch.setattr(results, "run", fail)
    assert main(["results"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("tfzoo: error: The memory does not suffice (in the middle of it).")
    assert "--set builder.*" in message


def test_other_errors_are_not_taken_for_it(monkeypatch):
    assert not is_out_of_memory(ValueError("memory"))

    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr(results, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["results"])
