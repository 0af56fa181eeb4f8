"""The devices and hosts that a strategy's name and ``TF_CONFIG`` stand for."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.training.distributed import Distribution, Replicas

EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def open_distribution(name: str | None) -> Distribution:
    """Return how to train; must be called before TensorFlow has computed anything.

    Args:
        name: ``"mirrored"`` for all visible devices of this host, ``"multiworker"`` for the hosts that
            the environment variable ``TF_CONFIG`` names, None for one device.

    Raises:
        UsageError: ``TF_CONFIG`` is missing or says nothing usable.
    """
    if name is None:
        return Distribution()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Replicas(tf.distribute.MirroredStrategy([device.name for device in devices]))
    _check_cluster(os.environ.get("TF_CONFIG"))
    # No time-out of communication: TensorFlow would keep a thread asleep for every operation until it has
    # passed, thousands a second. Heartbeats and broken connections tell of hosts that are lost.
    return Replicas(tf.distribute.MultiWorkerMirroredStrategy())


def _check_cluster(text: str | None) -> None:
    """Raise `UsageError` unless ``TF_CONFIG`` names hosts and which of them this process is."""
    where = f"--strategy multiworker reads the environment variable TF_CONFIG, such as {EXAMPLE}"
    if not text:
        raise UsageError(f"{where}. It is not set.")
    try:
        config = json.loads(text)
        jobs, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
        hosts = jobs[kind]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{where}. It cannot be used ({type(error).__name__}: {error}).") from None
    if kind not in ("chief", "worker") or not set(jobs) <= {"chief", "worker"}:
        raise UsageError(
            f"{where}. Its jobs must be 'worker', and 'chief' if you like; received {list(jobs)}."
        )
    if not 0 <= index < len(hosts):
        raise UsageError(f"{where}. It has no {kind} {index}, as there are {len(hosts)}.")
