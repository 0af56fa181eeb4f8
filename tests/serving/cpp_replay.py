"""Asks exported models through `cpp/replay.cc`, which is compiled when it is first needed."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from tests.patience import PATIENCE

SOURCES = Path(__file__).parent / "cpp"
# The wheel of TensorFlow has the libraries under these names alone, not as lib*.so.
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")


class CannotCompileError(Exception):
    """This machine lacks something that the program needs; the text says what."""


@dataclass(frozen=True)
class Answer:
    """What the program has answered: an error, or output arrays by name."""

    error: str
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)


@functools.cache
def program() -> Path:
    """Return the compiled program; one that was compiled earlier from the same source is used again.

    Raises:
        CannotCompileError: there is no compiler, or TensorFlow was installed without headers or libraries.
        RuntimeError: the compiler has refused the source.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise CannotCompileError("g++ is not installed; the C++ program cannot be compiled.")
    headers, libraries = Path(tf.sysconfig.get_include()), Path(tf.sysconfig.get_lib())
    needed = [
        headers / "tensorflow/cc/saved_model/loader.h",
        *(libraries / library for library in LIBRARIES),
    ]
    for path in needed:
        if not path.is_file():
            raise CannotCompileError(f"This TensorFlow was installed without {path}.")
    links = [f"-L{libraries}", "-Wl,--no-as-needed", *(f"-l:{library}" for library in LIBRARIES)]
    command = [
        compiler,
        "-std=c++17",
        "-O2",
        *tf.sysconfig.get_compile_flags(),
        str(SOURCES / "replay.cc"),
        *links,
    ]
    command += [f"-Wl,-rpath,{libraries}"]
    sources = b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))
    text = "\n".join([tf.__version__, *command]).encode()
    key = hashlib.sha256(sources + text).hexdigest()[:16]
    return _compile(command, Path(tempfile.gettempdir()) / f"tfzoo-replay-{os.getuid()}-{key}")


def _compile(command: Sequence[str], folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise CannotCompileError(f"{folder} belongs to another user.")
    finished = folder / "replay"
    if not finished.exists():
        # Two test sessions may compile at once; neither may run a half-written program.
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            written = Path(unfinished) / "replay"
            done = subprocess.run(
                [*command, "-o", str(written)], capture_output=True, text=True, timeout=PATIENCE
            )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
            os.replace(written, finished)
    return finished


def replay(
    asked: Sequence[tuple[Path, Sequence[bytes]]], *, unchecked: bool = False, timeout: float = PATIENCE
) -> list[list[Answer]]:
    """Ask models in one process.

    Args:
        asked: folders of versions, each with serialized ``PredictionLog``.
        unchecked: leave types and shapes to the graph, as TensorFlow Serving does.
        timeout: seconds.

    Returns:
        For each model, the answers in the order of the requests.
    """
    with tempfile.TemporaryDirectory(prefix="tfzoo-replay-") as folder:
        files = []
        for number, (version, requests) in enumerate(asked):
            files += [str(version), f"{folder}/{number}.requests", f"{folder}/{number}.answers"]
            write_records(Path(files[-2]), requests)
        done = run(*(["--unchecked"] if unchecked else []), *files, timeout=timeout)
        assert done.returncode == 0, done.stderr[-3000:]
        answers = [read_answers(Path(name)) for name in files[2::3]]
    assert [len(found) for found in answers] == [len(requests) for _, requests in asked]
    return answers


def measure(version: Path, requests: Sequence[bytes], repeat: int) -> list[dict[str, str | int | float]]:
    """Return, for each request, how long its answers took in microseconds, among ``repeat`` of them."""
    with tempfile.TemporaryDirectory(prefix="tfzoo-replay-") as folder:
        files = [str(version), f"{folder}/requests", f"{folder}/answers"]
        write_records(Path(files[1]), requests)
        done = run("--repeat", str(repeat), *files, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr[-3000:]
        answers = read_answers(Path(files[2]))
    errors = [answer.error for answer in answers if answer.error]
    assert not errors, errors
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(*arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [str(program()), *arguments], capture_output=True, text=True, timeout=timeout, env=quiet
    )


def write_records(path: Path, records: Sequence[bytes]) -> None:
    """Write a TFRecord file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def read_records(path: Path) -> list[bytes]:
    """Read a TFRecord file."""
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def read_answers(path: Path) -> list[Answer]:
    """Read what the program has written."""
    found = [attr_value_pb2.NameAttrList.FromString(record) for record in read_records(path)]
    return [
        Answer(answer.name, {name: tf.make_ndarray(value.tensor) for name, value in answer.attr.items()})
        for answer in found
    ]
