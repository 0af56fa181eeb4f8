"""The test cases of a model, one value a case, for paired comparisons."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.errors import DataError
from tfzoo.files import write_atomically

Figure = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Cases:
    """Values of single test cases, whose mean gives a metric.

    Attributes:
        unit: what a case is, in the plural: ``ratings``, ``users`` or ``events``.
        keys: identifies the cases and what is relevant in them; two models are compared where
            their keys are equal.
        clusters: whole numbers ``[n]``, whose case it is: of the user, or of the session. Cases of one
            cluster are alike, so a bootstrap draws them together.
        metrics: metric name -> values ``[n]`` and the function from their mean to the metric.
    """

    unit: str
    keys: NDArray
    clusters: NDArray
    metrics: Mapping[str, tuple[NDArray, Figure]]

    def figure(self, metric: str) -> float:
        """Return a metric of all cases."""
        values, figure = self.metrics[metric]
        return float(figure(np.asarray(np.mean(values, dtype=np.float64))))

    def save(self, path: Path) -> None:
        """Write the cases as a compressed NumPy archive; values as float32, so with seven digits."""
        arrays: dict[str, Any] = self._arrays()
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))

    def checksum(self) -> str:
        """Return the SHA-256 of what `save` writes, however that is compressed."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @classmethod
    def load(cls, path: Path) -> Cases:
        """Read what `save` has written.

        Raises:
            DataError: the file is missing or damaged, or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                metrics = {
                    name.removeprefix(prefix): (arrays[name].astype(np.float64), figure)
                    for name in arrays.files
                    for prefix, figure in _FIGURES.items()
                    if name.startswith(prefix)
                }
                return cls(str(arrays["unit"]), arrays["keys"], arrays["clusters"], metrics)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} holds no test cases: {error}. Rebuild it: tfzoo significance.") from None

    def _arrays(self) -> dict[str, NDArray]:
        prefixes = {figure: prefix for prefix, figure in _FIGURES.items()}
        return {
            "unit": np.asarray(self.unit),
            "keys": np.asarray(self.keys, np.int64),
            "clusters": np.asarray(self.clusters, np.int64),
            **{
                prefixes[figure] + name: np.asarray(values, np.float32)
                for name, (values, figure) in self.metrics.items()
            },
        }


def mean_itself(means: NDArray) -> NDArray:
    """Return the means: the metric is the mean of its cases."""
    return means


def root(means: NDArray) -> NDArray:
    """Return the roots of the means: the metric is a root mean square."""
    roots: NDArray = np.sqrt(means)
    return roots


# How an array of an archive is called whose mean, or the root of whose mean, is a metric.
_FIGURES: Mapping[str, Figure] = {"mean of ": mean_itself, "root of ": root}
