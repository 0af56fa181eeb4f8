"""Data sets by name, and the user's own data.

Every module of this package that registers a `Dataset` adds to `list_datasets`; there is no
list to extend.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

from tfzoo.data.click_log import ClickLog
from tfzoo.data.datasets import registry
from tfzoo.data.datasets.files import from_dataframe, from_file
from tfzoo.data.datasets.given import given_rows, given_split_of
from tfzoo.data.interactions import Interactions

__all__ = ["from_dataframe", "from_file", "given_rows", "given_split_of", "list_datasets", "load_dataset"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows, sorted."""
    return registry.registered()


@overload
def load_dataset(  # type: ignore[overload-overlap]
    name: Literal["avazu-8k", "criteo-8k", "frappe"], *, data_dir: str | Path | None = None
) -> ClickLog: ...


@overload
def load_dataset(name: str, *, data_dir: str | Path | None = None) -> Interactions: ...


def load_dataset(name: str, *, data_dir: str | Path | None = None) -> Interactions | ClickLog:
    """Load a public data set, from this machine if it is here, else by download.

    Looked for in this order: ``data_dir``, ``$TFZOO_DATA_DIR/<name>``, the cache
    (``$TFZOO_CACHE_DIR``, else ``~/.cache/tfzoo``), the publisher's server, substitutes.

    Args:
        name: one of `list_datasets`.
        data_dir: the folder of the data set, or a folder that holds it.

    Returns:
        The interactions, or the click log; the last note names the folder that was read.

    Raises:
        UsageError: there is no data set of that name.
        DataError: the files are damaged or belong to another data set.
        DownloadError: the data set is not on this machine and could not be downloaded.
    """
    dataset = registry.find(name)
    folder = registry.locate(dataset, data_dir)
    interactions = dataset.read(folder, dataset)
    registry.check_facts(interactions, dataset, folder / dataset.required)
    # Readers of files of one's own never give a name that a data set has.
    return replace(interactions, name=name, notes=(*interactions.notes, f"read from {folder}"))
