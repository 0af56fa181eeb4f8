"""Measure how fast models train and are measured, beside other ways to do it; `--help` lists the options.

From a clone: it needs `benchmarks/`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import can_import  # noqa: E402
from benchmarks.performance_page import performance_tables, write_tables  # noqa: E402

PARTS = ("training", "evaluations", "fits")
AGAINST = ("naive-keras", "limit", "pipeline", "recbole", "surprise")
EPILOG = """
Other libraries are measured where they can be imported: by this Python, or by --peer-python, that of another
virtual environment. All sides take turns in one run; read the ratios, the figures belong to the machine.
"""


def main() -> int:
    """Run the benchmark, and write its figures, beside those of other models, into file and page."""
    options = _parse()
    from benchmarks.rating_fits import MODELS, measure_fits
    from benchmarks.training_speed import EVALUATED, WORKLOADS, measure_evaluation, measure_training
    from tfzoo.cli.common import check_writable
    from tfzoo.errors import TfzooError, nearest
    from tfzoo.files import write_text
    from tfzoo.training.record import environment

    known = sorted({*WORKLOADS, *MODELS})
    for model in options.model:
        if model not in known:
            print(f"benchmark: error: no workload '{model}'. {nearest(model, known)}", file=sys.stderr)
            return 2
    against = [name for name in options.against.split(",") if name]
    if not set(against) <= set(AGAINST):
        print(f"benchmark: error: --against takes {', '.join(AGAINST)}.", file=sys.stderr)
        return 2
    for library in ("recbole", "surprise"):
        if library in against and not can_import(library, options.peer_python):
            print(f"{library} cannot be imported and is left out.", file=sys.stderr)
            against.remove(library)
    here = environment()
    content = _other_models(options.output, set(options.model or known), here)
    commit = {"commit": here["commit"]}
    try:
        check_writable(options.output.parent, "--output")
        for model in options.model or known:
            for size in options.batch_size if model in WORKLOADS else []:
                row = measure_training(
                    model,
                    size,
                    against,
                    rounds=options.rounds,
                    seconds=options.seconds,
                    python=options.peer_python,
                )
                content["training"].append({**row, **commit})
                _say(f"{model}, batch {size:,}", row["training"], "examples/s")
                _say("  evaluation", row["evaluation"], "s")
            if model in EVALUATED:
                row = measure_evaluation(model, rounds=options.rounds)
                content["evaluations"].append({**row, **commit})
                _say(f"  evaluation of {row['dataset']}", row["evaluation"], "s")
            if model in MODELS and "surprise" in against:
                row = measure_fits(model, rounds=options.rounds, python=options.peer_python)
                content["fits"].append({**row, **commit})
                _say(f"{model}, one fit", row["fit"], "s")
            # After every model: the slowest of the other libraries take minutes, and may be interrupted.
            for part in PARTS:
                content[part].sort(key=lambda row: (row["model"], row.get("batch_size", 0)))
            write_text(options.output, json.dumps(content, indent=1) + "\n")
            if options.page:
                write_tables(options.page, "training", performance_tables(content))
    except TfzooError as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _other_models(path: Path, models: set[str], environment: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier run with the same versions on such a machine has measured of other models."""
    same = {key: environment[key] for key in ("versions", "hardware")}
    content: dict[str, Any] = {"environment": same, **{part: [] for part in PARTS}}
    if path.is_file():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier["environment"] == same:
            for part in PARTS:
                content[part] = [row for row in earlier[part] if row["model"] not in models]
    return content


def _say(title: str, sides: dict[str, Any], unit: str) -> None:
    figures = ", ".join(f"{name} {side['median']:,.4g} ({side['times']:.2f})" for name, side in sides.items())
    print(f"{title}: {figures} {unit} (in brackets: how many times better ours is)", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=EPILOG)
    parser.add_argument("--model", action="append", default=[], help="may be repeated (default: all)")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument(
        "--against", default=",".join(AGAINST), help=f"some of {', '.join(AGAINST)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default: 1)")
    parser.add_argument("--peer-python", metavar="FILE", help="the Python that has the other libraries")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "training.json")
    parser.add_argument("--page", type=Path, help="write the tables into this Markdown file")
    options = parser.parse_args()
    if min(options.batch_size) < 1 or options.rounds < 1 or not options.seconds > 0:
        parser.error("--batch-size, --rounds and --seconds must be more than 0")
    if options.peer_python is not None and shutil.which(options.peer_python) is None:
        parser.error(f"--peer-python {options.peer_python} is no program")
    return options


if __name__ == "__main__":
    sys.exit(main())
