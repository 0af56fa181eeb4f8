"""The benchmark of training: ratios, page, turns with other programs, and its sides on real data."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import worker_turns
from benchmarks.peers import Peer, compared
from benchmarks.performance_page import performance_tables, precision_table, write_tables
from benchmarks.training_sides import InGraphLoop, OurTrainer, PipelineAlone, PlainKeras
from tfzoo.errors import TfzooError, UsageError

ROOT = Path(__file__).parents[1]
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
WORKER = """
from worker_turns import answer_turns, say

trained = []
say(examples=7)
answer_turns(lambda: trained.append(1), lambda: {"rmse": float(len(trained))})
"""


def test_ratios_are_medians_of_pairs():
    found = {"ours": [10.0, 20.0, 40.0], "theirs": [5.0, 5.0, 40.0]}
    rates = compared(found, ours="ours", more_is_better=True)
    assert (rates["ours"]["median"], rates["ours"]["times"]) == (20.0, 1.0)
    assert (rates["theirs"]["median"], rates["theirs"]["times"]) == (5.0, 2.0)
    times = compared(found, ours="ours", more_is_better=False)
    assert times["theirs"]["times"] == 0.5


def make_peer(folder: Path, text: str) -> Peer:
    shutil.copy(worker_turns.__file__, folder)
    (folder / "worker.py").write_text(text, encoding="utf-8")
    return Peer(folder / "worker.py", [], sys.executable)


def test_a_worker_answers_every_turn(tmp_path):
    peer = make_peer(tmp_path, WORKER)
    try:
        assert peer.examples == 7
        assert peer.epochs(3) >= 0
        assert peer.evaluate() >= 0
        assert peer.last["rmse"] == 3.0
        assert peer.last["peak_memory_mb"] > 1
    finally:
        peer.close()


def test_a_worker_that_says_much_goes_on(tmp_path):
    # More than a pipe holds.
    peer = make_peer(tmp_path, f"import sys\nsys.stderr.write('warning ' * 200_000)\n{WORKER}")
    try:
        assert peer.examples == 7
    finally:
        peer.close()


def test_a_worker_that_ends_says_why(tmp_path):
    with pytest.raises(TfzooError, match=r"worker\.py ended: ZeroDivisionError"):
        make_peer(tmp_path, "1 / 0")


def test_what_cannot_be_measured_or_written_is_told_first(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("benchmark", ROOT / "scripts" / "benchmark.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", "--against", "limit", *map(str, arguments)])
        status = benchmark.main()
        return status, capsys.readouterr().err

    assert run("--model", "gmff") == (2, "benchmark: error: no workload 'gmff'. Did you mean 'gmf'?\n")
    (tmp_path / "file").write_bytes(b"")
    status, error = run("--model", "gmf", "--output", tmp_path / "file" / "training.json")
    assert status == 2
    assert "--output" in error
    with pytest.raises(SystemExit):
        run("--peer-python", tmp_path / "python")
    assert "is no program" in capsys.readouterr().err


def figures(**sides):
    return {name: {"figures": [x], "median": x, "times": t} for name, (x, t) in sides.items()}


CONTENT = {
    "environment": {"versions": {"python": "3.11"}, "hardware": {"cpus": 2}},
    "training": [
        {
            "model": "gmf",
            "batch_size": 2048,
            "training": figures(tfzoo=(2e6, 1.0), limit=(2.5e6, 0.8)),
            "evaluation": figures(tfzoo=(0.02, 1.0), recbole=(0.4, 20.0)),
            "peak_memory_mb": {"tfzoo": 900.4, "recbole": 500.0},
        }
    ],
    "evaluations": [
        {
            "model": "gmf",
            "dataset": "ml-1m",
            "users": 6040,
            "items": 3706,
            "evaluation": figures(tfzoo=(0.08, 1.0)),
        }
    ],
    "fits": [
        {
            "model": "svdpp",
            "there": "SVDpp 1",
            "fit": figures(tfzoo=(9.0, 1.0), surprise=(11.5, 1.28)),
            "test": {"tfzoo": {"rmse": 0.9, "mae": 0.7}, "surprise": {"rmse": 0.92, "mae": 0.72}},
        }
    ],
}


def test_the_tables():
    rows = performance_tables(CONTENT).splitlines()
    assert "| `gmf` | 2,048 | 2,000,000 | 0.80 |  |  |  |" in rows
    assert "| `gmf` | 0.020 | 0.400 | 20.00 | 900 | 500 |" in rows
    assert "| `gmf` | ml-1m | 6,040 | 3,706 | 0.080 |" in rows
    assert "| `svdpp` | 9.00 | 0.9000 / 0.7000 | SVDpp 1 | 11.50 | 0.9200 / 0.7200 |" in rows


def test_the_table_of_precisions():
    rows = {
        "edrs": {
            p: {"metric": "rmse", "value": v, "deviation": None}
            for p, v in zip(PRECISIONS, (1.0, 1.01, 0.999), strict=True)
        }
    }
    rows["edrs"] |= {"users": None, "epochs": 2, "seeds": 1}
    assert precision_table({"rows": rows}).splitlines()[-1] == (
        "| `edrs` | all | 2 | 1 | rmse | 1.0000 | 1.0100 (+1.00%) | 0.9990 (-0.10%) |"
    )
    rows["edrs"]["seeds"] = 3
    rows["edrs"]["float32"]["deviation"] = 0.0123
    assert " | 3 | rmse | 1.0000 ± 0.0123 | " in precision_table({"rows": rows}).splitlines()[-1]


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- x: start -->\nold\n<!-- x: end -->\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_tables(page, "x", "| new |\n")
        expected = "before\n\n<!-- x: start -->\n\n| new |\n\n<!-- x: end -->\n\nafter\n"
        assert page.read_text(encoding="utf-8") == expected
    write_tables(page, "y", "| more |\n")
    assert page.read_text(encoding="utf-8") == expected + "<!-- y: start -->\n\n| more |\n\n<!-- y: end -->\n"


def test_a_page_that_lost_a_mark_keeps_its_text(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text := "<!-- x: start -->\nold\n\nafter\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no '<!-- x: end -->'"):
        write_tables(page, "x", "| new |\n")
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "table"), [("training", performance_tables), ("precision", precision_table)]
)
def test_the_page_shows_the_recorded_figures(name, table):
    content = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert f"<!-- {name}: start -->\n\n{table(content)}\n<!-- {name}: end -->" in page


@pytest.mark.data
@pytest.mark.slow
def test_all_sides_train_the_same_examples():
    from benchmarks.training_speed import experiment_of

    experiment = experiment_of("gmf", 2048)
    sides = [kind(experiment) for kind in (OurTrainer, PlainKeras, InGraphLoop, PipelineAlone)]
    assert all(side.epochs(1) > 0 for side in sides)
    ours, plain, limit, pipeline = (side.examples for side in sides)
    # RecBole's split has 80,808 training rows; each comes with a negative. The loop drops the last batch.
    assert ours == plain == pipeline == 2 * 80_808
    assert limit == ours // 2048 * 2048
