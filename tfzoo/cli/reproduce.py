"""``tfzoo reproduce``: train what a table lacks, then write the tables from the records."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfzoo.cli.common import check_writable
from tfzoo.cli.main import main
from tfzoo.cli.output import answer, mention, more, say
from tfzoo.errors import TfzooError, UsageError
from tfzoo.files import write_text
from tfzoo.reporting.intervals import read_intervals
from tfzoo.reporting.origin import refuse_changed_code, refuse_uncommitted
from tfzoo.reporting.plan import Job, plan
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import collect, load_records, summarise
from tfzoo.reporting.verdicts import csv_text
from tfzoo.training.record import RunRecord

# A process for each run: one that fails or runs out of memory does not stop the others.
TRAIN = "from tfzoo.cli.reproduce import train_while_wanted; train_while_wanted()"


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1. Received {options.jobs}.")
    tables = [*options.table, *([options.preset] if options.preset else [])]
    if not (tables or options.model or options.all):
        raise UsageError("Say what to reproduce: --table, --preset, --model or --all.")
    jobs = plan(tables, options.model, options.seeds)
    kept = [options.output] if options.fresh else [options.output, options.results]
    missing = [job for job in jobs if job.record(kept) is None]
    say(f"{len(jobs)} runs; {len(jobs) - len(missing)} have a record, {len(missing)} are to be trained.")
    answer(runs=len(jobs), recorded=len(jobs) - len(missing), missing=[])
    if options.dry_run:
        for job in missing:
            say(f"  {job.name} seed {job.seed}")
            more("missing", {"name": job.name, "seed": job.seed})
        return
    if missing:
        refuse_changed_code()
    for name in ("output", "results", "docs"):
        check_writable(getattr(options, name), f"--{name}")
    options.output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        ended_well = list(pool.map(functools.partial(_train, options.output), missing))
    for record in filter(None, (job.record([options.output]) for job in jobs)):
        collect(RunRecord.load(record), options.results)
    _write_tables(options.results, options.docs)
    failed = [job for job, well in zip(missing, ended_well, strict=True) if not well]
    if failed:
        names = ", ".join(f"{job.name} seed {job.seed}" for job in failed)
        raise TfzooError(f"{len(failed)} of {len(missing)} runs failed: {names}. See {options.output}/*.log.")


def _write_tables(results: Path, docs: Path) -> None:
    if not results.is_dir():
        return  # Every run has failed.
    records = load_records([results])
    refuse_uncommitted(records)
    summaries = summarise(records)
    page = markdown(summaries, read_intervals([results]))
    for name, text in (("results.md", page), ("results.csv", csv_text(summaries))):
        write_text(docs / name, text)
        say(f"Written: {docs / name}")
        more("written", docs / name)


def _train(output: Path, job: Job) -> bool:
    """Train one run in a process of its own; return whether it ended well."""
    command = [sys.executable, "-c", TRAIN, "train", "--no-export", "--resume"]
    command += ["--model", job.model, "--dataset", job.dataset, "--recipe", job.recipe]
    command += ["--seed", str(job.seed), "--output", str(output)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    log = output / f"{job.name}-seed-{job.seed}.log"
    with log.open("w", encoding="utf-8") as file:
        environment = {**os.environ, "PYTHONPATH": path}
        # The pipe ends with this process, however that ends, and with the pipe the training does.
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment
        ) as process:
            status = process.wait()
    if status == 0:
        log.unlink()
    mention(f"{job.name} seed {job.seed}: {f'failed, see {log}' if status else 'done'}")
    return status == 0


def train_while_wanted() -> None:
    """Run the command line in a process of its own until whoever has started it ends."""
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    sys.exit(main())


def _end_with_the_pipe() -> None:
    # Not through sys.stdin, whose lock a daemon would hold while Python ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
