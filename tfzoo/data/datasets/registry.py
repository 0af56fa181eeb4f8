"""What a data set is, and where its files are looked for."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfzoo.data import download
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, DownloadError, UsageError, nearest


@dataclass(frozen=True)
class Dataset:
    """One public data set.

    Attributes:
        name: what users call it; also the name of its folder.
        url: address of its zip archive.
        archive_folder: the folder inside the archive that holds the files.
        required: the file without which a folder is not this data set.
        read: makes the interactions out of a folder.
        checksum: ``"md5:..."`` of the archive; None to ask the publisher's ``<url>.md5``.
        rating_scale: lowest and highest rating.
        facts: expected counts, any of ``interactions``, ``users``, ``items``.
        substitutes: name -> function that writes the files into an empty folder, given a folder
            for temporary files; tried in order where the archive cannot be had.
    """

    name: str
    url: str
    archive_folder: str
    required: str
    read: Callable[[Path, Dataset], Interactions]
    checksum: str | None = None
    rating_scale: tuple[float, float] | None = None
    facts: Mapping[str, int] = field(default_factory=dict)
    substitutes: Mapping[str, Callable[[Path, Path], None]] = field(default_factory=dict)

    def folder_names(self) -> tuple[str, ...]:
        """Names that a folder with the unpacked archive may have."""
        return tuple(dict.fromkeys((self.name, self.archive_folder)))


_datasets: dict[str, Dataset] = {}


def register(dataset: Dataset) -> None:
    """Make a data set known to `load_dataset`."""
    _datasets[dataset.name] = dataset


def registered() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(_datasets)


def find(name: str) -> Dataset:
    """Return the data set of that name; raises `UsageError` with a hint where there is none."""
    if name not in _datasets:
        raise UsageError(
            f"Unknown data set {name!r}. {nearest(name, _datasets)} For data of your own use --data FILE."
        )
    return _datasets[name]


def local_folders(dataset: Dataset, data_dir: str | Path | None) -> list[tuple[str, Path]]:
    """Return the folders where the files may lie on this machine, best first, with their origin."""
    places: list[tuple[str, Path]] = []
    if data_dir is not None:
        given = Path(data_dir).expanduser()
        places += [("data_dir", given / folder) for folder in dataset.folder_names()]
        places.append(("data_dir", given))
    if root := os.environ.get("TFZOO_DATA_DIR"):
        places += [("TFZOO_DATA_DIR", Path(root).expanduser() / name) for name in dataset.folder_names()]
    places.append(("cache", download.cache_dir() / dataset.name))
    return places


def locate(dataset: Dataset, data_dir: str | Path | None = None) -> Path:
    """Return a folder with the files of the data set, downloading them where need be.

    Args:
        dataset: which one.
        data_dir: folder to look in first: the data set's own, or one that holds it.

    Returns:
        The folder.

    Raises:
        DownloadError: no source has it; the message lists each one and its reason.
    """
    tried = []
    for origin, folder in local_folders(dataset, data_dir):
        if (folder / dataset.required).is_file():
            return folder
        tried.append(f"{origin}: no file {folder / dataset.required}")
    if not os.environ.get("TFZOO_DATA_DIR"):
        tried.append("TFZOO_DATA_DIR: not set")
    destination = download.cache_dir() / dataset.name
    sources: dict[str, Callable[[Path, Path], None]] = {dataset.url: _archive(dataset)}
    for source, write in {**sources, **dataset.substitutes}.items():
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download-", dir=destination.parent) as scratch:
                write(destination, Path(scratch))
            if (destination / dataset.required).is_file():
                return destination
            tried.append(f"{source}: {destination} exists but lacks {dataset.required}; remove that folder")
        except (DownloadError, OSError) as error:
            tried.append(str(error) if str(error).startswith(source) else f"{source}: {error}")
    lines = "\n".join(f"  - {line}" for line in tried)
    raise DownloadError(
        f"Data set '{dataset.name}' could not be had. Tried:\n{lines}\n"
        f"Fetch and unpack {dataset.url} yourself, then set TFZOO_DATA_DIR to the folder that holds the "
        f"folder '{dataset.name}' (for example TFZOO_DATA_DIR=/data for "
        f"/data/{dataset.name}/{dataset.required}), or give that folder as data_dir."
    )


def check_facts(interactions: Interactions, dataset: Dataset, path: Path) -> None:
    """Raise `DataError` unless the interactions have the published counts."""
    found = {
        "interactions": len(interactions),
        "users": interactions.num_users,
        "items": interactions.num_items,
    }
    if any(found[what] != count for what, count in dataset.facts.items()):
        expected = ", ".join(f"{count:,} {what}" for what, count in dataset.facts.items())
        received = ", ".join(f"{found[what]:,} {what}" for what in dataset.facts)
        raise DataError(
            f"{path} is truncated or is not '{dataset.name}': it has {received}, expected {expected}."
        )


def _archive(dataset: Dataset) -> Callable[[Path, Path], None]:
    def write(destination: Path, scratch: Path) -> None:
        checksum = dataset.checksum or _published_checksum(dataset, scratch)
        archive = download.fetch(dataset.url, scratch / f"{dataset.name}.zip", checksum=checksum)
        download.extract_zip(archive, destination, folder=dataset.archive_folder)

    return write


def _published_checksum(dataset: Dataset, scratch: Path) -> str | None:
    """Return the checksum in the publisher's ``.md5`` file, or None where there is none."""
    try:
        file = download.fetch(f"{dataset.url}.md5", scratch / "md5", checksum=None, retries=1)
    except DownloadError:
        return None
    digest = re.search(rb"\b[0-9a-f]{32}\b", file.read_bytes())
    return f"md5:{digest.group().decode()}" if digest else None
