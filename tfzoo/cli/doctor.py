"""``tfzoo doctor``: what is installed and found, and what is missing.

Nothing that could be missing or broken is imported here at the top: the other commands may stop with an
error where TensorFlow does not load, this one is what tells why.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tfzoo.cli.mending import (
    TENSORFLOW,
    Problem,
    backend_problem,
    checkout,
    import_problem,
    not_working,
    reinstall,
)
from tfzoo.cli.mode import answer, finish_output, mode, more
from tfzoo.installation import Requirement, python_versions, requirements, version
from tfzoo.machine import memory_limit

SECONDS = 300
EXTRAS = ("serve", "grpc", "onnx", "litert", "plots", "tune")
# TensorFlow may end the process that loads it (other instruction sets, broken drivers), so it has its own.
PROBE = """
import json, os, sys
import tensorflow as tf
import keras
devices = []
for device in tf.config.list_physical_devices():
    details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
    devices.append(" ".join(filter(None, [device.device_type, details.get("device_name", "")])))
found = {"devices": devices, "cuda": tf.test.is_built_with_cuda(), "backend": keras.backend.backend()}
print("\\n" + json.dumps(found))
"""


def run(options: argparse.Namespace) -> None:
    """Run the command; raises `TfzooError` where something is missing that tfzoo needs."""
    problems = [*_python(), *_packages(), *_tensorflow()]
    _memory()
    _datasets()
    _caches()
    _extras()
    if problems:
        answer(works=False)
        finish_output()
        raise not_working(problems)
    answer(works=True)
    _print("\nAll is there that tfzoo needs.")


def _heading(text: str) -> None:
    more("sections", {"title": text, "lines": []})
    _print(f"\n{text}")


def _line(name: str, text: str) -> None:
    mode.answer["sections"][-1]["lines"].append({"name": name, "text": text})
    _print(f"  {name:<32} {text}")


def _print(text: str) -> None:
    if not mode.json:
        # Whoever reads along sees at once what is waited for.
        print(text, flush=True)


def _python() -> Iterator[Problem]:
    wanted, found = python_versions(), platform.python_version()
    answer(version=version())
    _print(f"tfzoo {version()} in {Path(__file__).parents[1]}")
    _heading("System")
    right = _fits(found, wanted)
    _line("Python", f"{found}" if right else f"{found}, wanted {wanted}")
    _line("executable", sys.executable)
    _line("platform", platform.platform())
    if not right:
        yield f"Python is {found}, wanted {wanted}", "another Python"


def _packages() -> Iterator[Problem]:
    _heading("Packages")
    for needed in (r for r in requirements() if not r.extra):
        state, right = _state(needed)
        _line(needed.name, state)
        if not right:
            yield f"{needed.name} is {state}", reinstall()


def _state(needed: Requirement) -> tuple[str, bool]:
    """Return what is to be said of a package, and whether it will do."""
    wanted = needed.versions or "any version"
    try:
        found = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"missing, wanted {wanted}", False
    if _fits(found, needed.versions):
        return found, True
    return f"{found}, wanted {wanted}", False


def _fits(found: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        # It is reported as missing itself, and nothing is known of the versions.
        return True
    return SpecifierSet(wanted).contains(found, prereleases=True)


def _tensorflow() -> Iterator[Problem]:
    _heading("TensorFlow and Keras")
    if not (mode.quiet or mode.json):
        _print("  importing them in a process of its own, which may take a minute ...")
    # The libraries' own chatter on standard error is shown only where it is the reason.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        _line("import", f"no end after {SECONDS} s")
        yield f"TensorFlow cannot be imported within {SECONDS} s", reinstall()
        return
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1][:300] if lines and done.returncode > 0 else f"it ends Python ({done.returncode})"
        _line("import", f"fails: {reason}")
        yield import_problem(reason)
        return
    found = json.loads(done.stdout.strip().splitlines()[-1])
    for number, device in enumerate(found["devices"]):
        _line("devices" if number == 0 else "", device)
    if not any(device.startswith("GPU") for device in found["devices"]):
        built = "" if found["cuda"] else "; this TensorFlow is built without CUDA"
        _line("", f"no GPU is seen{built}. On Linux: pip install 'tensorflow[and-cuda]'")
    _line("Keras backend", found["backend"])
    if found["backend"] != TENSORFLOW:
        yield backend_problem(found["backend"])


def _memory() -> None:
    _heading("Memory and processors")
    _line("processors", _processors())
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        _line("memory", "this system does not tell")
        return
    _line("memory", f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it unused")
    limit = memory_limit()
    if limit is not None and limit < total:
        _line("", f"{limit / 2**30:.1f} GiB of it for this process (control group)")


def _processors() -> str:
    if not hasattr(os, "sched_getaffinity"):
        return str(os.cpu_count())
    return f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable"


def _datasets() -> None:
    root = os.environ.get("TFZOO_DATA_DIR")
    _heading("Data sets on this machine")
    _line("TFZOO_DATA_DIR", root or "not set")
    try:
        from tfzoo.data.datasets import registry
    except ImportError as error:
        _line("", f"cannot be looked for: {error}")
        return
    if problem := registry.data_dir_problem():
        _line("", problem)
    missing, by_hand = [], []
    for name in registry.registered():
        dataset = registry.find(name)
        folders = registry.local_folders(dataset, None)
        found = next(((o, f) for o, f in folders if dataset.main_file(f) is not None), None)
        if found is not None:
            _line(name, f"{found[1]} ({found[0]})")
        elif dataset.url or dataset.substitutes:
            missing.append(name)
        else:
            by_hand.append(name)
    for title, names in (("downloaded when asked for", missing), ("to be had by hand", by_hand)):
        if names:
            _line(title, ", ".join(names))


def _caches() -> None:
    _heading("Caches")
    try:
        from tfzoo.data.download import cache_dir
    except ImportError as error:
        _line("", f"cannot be looked for: {error}")
        return
    origin = "TFZOO_CACHE_DIR" if os.environ.get("TFZOO_CACHE_DIR") else "default; TFZOO_CACHE_DIR moves it"
    folder = cache_dir()
    if folder.is_file():
        _line("downloads and weights", f"{folder} is a file, no folder ({origin})")
        return
    if not folder.is_dir():
        _line("downloads and weights", f"{folder}, not made yet ({origin})")
        return
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    lock = "" if os.access(folder, os.W_OK) else ", cannot be written"
    _line("downloads and weights", f"{folder}, {size / 2**20:.1f} MiB{lock} ({origin})")


def _extras() -> None:
    _heading("Extras")
    needed = requirements()
    for extra in EXTRAS:
        states = {r.name: _state(r) for r in needed if r.extra == extra}
        lacking = [f"{name} ({state})" for name, (state, right) in states.items() if not right]
        if lacking:
            _line(extra, f"not here: {', '.join(lacking)}; {_install(extra)}")
        else:
            _line(extra, ", ".join(f"{name} {state}" for name, (state, _) in states.items()))


def _install(extra: str) -> str:
    return f"pip install -e '.[{extra}]'" if checkout() else f"pip install 'tfzoo[{extra}]'"
