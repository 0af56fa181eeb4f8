"""What a data set is, and where its files are looked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfzoo.data import download
from tfzoo.data.click_log import ClickLog
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, DownloadError, UsageError, nearest
from tfzoo.files import temporary_folder


@dataclass(frozen=True)
class GivenSplit:
    """Train and test parts of a data set that someone publishes, as files or as a rule.

    Attributes:
        files: names of the files, inside the folder of the data set; none where the parts follow
            from the interactions.
        make: makes the parts, given the folder with the files, all interactions of the data set,
            a seed and how to choose the validation part where none is published.
        origin: who has the files, or whose rule it is, for messages.
        urls: file -> its address and its checksum ``"sha256:..."``; empty where they must be
            fetched by hand.
    """

    files: tuple[str, ...]
    make: Callable[[Path, Any, int, float | str], Split]
    origin: str
    urls: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """One public data set.

    Attributes:
        name: what users call it; also the name of its folder.
        url: address of its zip archive, or of its one file; empty where there is none.
        archive_folder: the folder inside the archive that holds the files; also another name
            that the folder on this machine may have.
        required: the file without which a folder is not this data set.
        read: makes the interactions, or the click log, out of a folder.
        checksum: ``"sha256:..."`` of the download, or ``"md5:..."`` where its publisher has no
            other; None where nobody has published one.
        contents: file -> ``"sha256:..."`` of what the archive holds, where its packing may change.
        rating_scale: lowest and highest rating.
        facts: expected counts, any of ``interactions``, ``users``, ``items``.
        substitutes: name -> function that writes the files into an empty folder, given a folder
            for temporary files; tried in order where the archive cannot be had.
        alternatives: further names that the required file may have.
        origin: where the files come from, for data sets without an address.
        splits: name -> a split that is published with the data set.
    """

    name: str
    url: str
    archive_folder: str
    required: str
    read: Callable[[Path, Dataset], Interactions | ClickLog]
    checksum: str | None = None
    contents: Mapping[str, str] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    facts: Mapping[str, int] = field(default_factory=dict)
    substitutes: Mapping[str, Callable[[Path, Path], None]] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    origin: str = ""
    splits: Mapping[str, GivenSplit] = field(default_factory=dict)

    def folder_names(self) -> tuple[str, ...]:
        """Names that a folder with the unpacked archive may have."""
        return tuple(dict.fromkeys((self.name, self.archive_folder)))

    def main_file(self, folder: Path) -> Path | None:
        """Return the required file of a folder, under whichever name; None if it has none."""
        paths = (folder / name for name in (self.required, *self.alternatives))
        return next((path for path in paths if path.is_file()), None)


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


def by_hand(name: str) -> bool:
    """Return whether the files of a data set must be fetched by hand, since they have no address."""
    dataset = _datasets.get(name)
    return dataset is not None and not dataset.url and not dataset.substitutes


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


def data_dir_problem(dataset: Dataset | None = None) -> str:
    """Return what is wrong with the folder that ``TFZOO_DATA_DIR`` names; an empty text where nothing is.

    Args:
        dataset: that is looked for; None for any.
    """
    name = os.environ.get("TFZOO_DATA_DIR")
    if not name:
        return "not set" if dataset else ""
    root = Path(name).expanduser()
    if root.is_file():
        return f"{root} is a file, expected the folder that holds the folders of data sets"
    if not root.is_dir():
        return f"{root} does not exist"
    wanted = [dataset] if dataset else list(_datasets.values())
    for one in wanted:
        if any(one.main_file(root / folder) for folder in one.folder_names()):
            return ""
        if one.main_file(root):
            return f"{root} is the folder of '{one.name}' itself, expected the one above it"
    example = wanted[0]
    what = f"the data set '{example.name}'" if dataset else "none of the data sets"
    lacks = "does not hold" if dataset else "holds"
    return f"{root} {lacks} {what}, expected such a file as {example.name}/{example.required}"


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
        if dataset.main_file(folder):
            return folder
        tried.append(f"{origin}: no file {folder / dataset.required}")
    problem = data_dir_problem(dataset)
    if problem:
        tried.insert(0, f"TFZOO_DATA_DIR: {problem}")
    destination = download.cache_dir() / dataset.name
    sources: dict[str, Callable[[Path, Path], None]] = {}
    if dataset.url:
        sources[dataset.url] = _archive(dataset) if dataset.url.endswith(".zip") else _single_file(dataset)
    for source, write in {**sources, **dataset.substitutes}.items():
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(destination.parent, ".download-") as scratch:
                write(destination, scratch)
            if dataset.main_file(destination):
                return destination
            tried.append(f"{source}: {destination} exists but lacks {dataset.required}; remove that folder")
        except (DownloadError, OSError) as error:
            tried.append(str(error) if str(error).startswith(source) else f"{source}: {error}")
    lines = "\n".join(f"  - {line}" for line in tried)
    by_hand = f"Fetch and unpack {dataset.url} yourself" if dataset.url else f"Get it from {dataset.origin}"
    raise DownloadError(
        f"Data set '{dataset.name}' could not be had. Tried:\n{lines}\n"
        f"{by_hand}, then set TFZOO_DATA_DIR to the folder that holds the "
        f"folder '{dataset.name}' (for example TFZOO_DATA_DIR=/data for "
        f"/data/{dataset.name}/{dataset.required}), or give that folder as data_dir."
    )


def check_facts(interactions: Interactions | ClickLog, dataset: Dataset, path: Path) -> None:
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
        archive = download.fetch(dataset.url, scratch / f"{dataset.name}.zip", checksum=dataset.checksum)
        download.extract_zip(archive, destination, folder=dataset.archive_folder, contents=dataset.contents)

    return write


def _single_file(dataset: Dataset) -> Callable[[Path, Path], None]:
    def write(destination: Path, scratch: Path) -> None:
        name = dataset.url.rpartition("/")[2]
        file = download.fetch(dataset.url, scratch / name, checksum=dataset.checksum)
        with download.new_folder(destination) as folder:
            file.rename(folder / name)

    return write
