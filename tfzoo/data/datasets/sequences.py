"""Data sets that are published as lines of items in the order of their events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.datasets.registry import Dataset, GivenSplit, register
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, split_at_rows
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

TRAIN_SESSIONS = "train_sessions.txt"
TEST_CASES = "test_cases.txt"
S3REC = "the 5-core sequences of S3-Rec (RUCAIBox/CIKM2020-S3Rec), a user a line"
ORDER_NOTE = "no times; events are in the given order"


def whole_sessions(cases: list[list[int]], source: Path) -> list[list[int]]:
    """Put sessions together again out of the cases "these items, then this one".

    Args:
        cases: one case a list, prefix and target; a session of n events gives n - 1 of them in
            a row, the longest first, so that the first is the session itself.
        source: file they come from, for messages.

    Returns:
        The sessions, in the order of the file.

    Raises:
        DataError: the cases do not come in such runs.
    """
    sessions: list[list[int]] = []
    expected: list[int] = []
    for number, case in enumerate(cases, start=1):
        if len(expected) < 2:
            sessions.append(case)
        elif case != expected:
            raise DataError(f"{source}, line {number}: expected the line before without its last item.")
        expected = case[:-1]
    if len(expected) > 1:
        raise DataError(f"{source} is truncated: the last session lacks its shorter cases.")
    return sessions


def _read_yoochoose(folder: Path, dataset: Dataset) -> Interactions:
    train = _read_lines(folder / TRAIN_SESSIONS, 1)
    test = whole_sessions(_read_lines(folder / TEST_CASES, 2), folder / TEST_CASES)
    notes = (
        f"sessions 1 to {len(train)} are those of {TRAIN_SESSIONS}, the others are put together from "
        f"{TEST_CASES}",
        ORDER_NOTE,
    )
    return _assemble(dataset, np.arange(1, len(train) + len(test) + 1), train + test, notes)


def _read_users(folder: Path, dataset: Dataset) -> Interactions:
    lines = _read_lines(folder / dataset.required, 2)
    users = np.array([line[0] for line in lines])
    if len(np.unique(users)) < len(users):
        raise DataError(f"{folder / dataset.required} has more than one line of a user.")
    return _assemble(dataset, users, [line[1:] for line in lines], (ORDER_NOTE,))


def _read_lines(path: Path, shortest: int) -> list[list[int]]:
    """Read lines of whole numbers."""
    try:
        lines = [
            [int(word) for word in line.split()] for line in path.read_text(encoding="utf-8").splitlines()
        ]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as lines of whole numbers: {error}.") from error
    short = [number for number, line in enumerate(lines, start=1) if len(line) < shortest]
    if short or not lines:
        where = f"line {short[0]} has fewer than {shortest} numbers" if short else "it is empty"
        raise DataError(f"{path} is truncated or damaged: {where}.")
    return lines


def _assemble(
    dataset: Dataset, users: NDArray, sequences: list[list[int]], notes: tuple[str, ...]
) -> Interactions:
    order = np.argsort(users)
    rank = np.empty(len(users), np.int64)
    rank[order] = np.arange(1, len(users) + 1)
    items, item = np.unique(np.concatenate([np.array(line) for line in sequences]), return_inverse=True)
    return Interactions(
        users=Vocabulary(users[order]),
        items=Vocabulary(items),
        user_id=np.repeat(rank, [len(line) for line in sequences]).astype(np.int32),
        item_id=(item + 1).astype(np.int32),
        name=dataset.name,
        notes=notes,
    )


def _sessions(folder: Path, interactions: Interactions, seed: int, validation: float | str) -> Split:
    """Hold out the published test sessions, and the last share of the training sessions of the file."""
    if isinstance(validation, str) or not 0 < validation < 1:
        raise UsageError(f"split.validation must be a share of the sessions. Received {validation!r}.")
    train = len(_read_lines(folder / TRAIN_SESSIONS, 1))
    last = max(1, round(train * validation))
    session = interactions.users.decode(interactions.user_id)
    return split_at_rows(
        interactions,
        np.flatnonzero(session <= train - last),
        np.flatnonzero((session > train - last) & (session <= train)),
        np.flatnonzero(session > train),
        f"given split sessions, last {100 * validation:g} % of the training sessions for validation",
    )


register(
    Dataset(
        name="yoochoose1_64",
        url="",
        archive_folder="yoochoose1_64",
        required=TRAIN_SESSIONS,
        read=_read_yoochoose,
        facts={"interactions": 557_248, "users": 131_491, "items": 17_745},
        origin=(
            "the clicks of the RecSys Challenge 2015, the latest 1/64 of the training sessions as prepared "
            f"for NARM: {TRAIN_SESSIONS} with a session a line, {TEST_CASES} with a prefix and target a line"
        ),
        splits={
            "sessions": GivenSplit(
                files=(TRAIN_SESSIONS,), make=_sessions, origin="the files of the data set itself"
            )
        },
    )
)
for _name, _folder, _file, _facts, _origin in (
    (
        "ml-1m-sasrec",
        "ml-1m-sasrec",
        "ml-1m.sasrec.sequences.txt",
        {"interactions": 999_611, "users": 6_040, "items": 3_416},
        "MovieLens 1M in the order of the authors' file, on which SASRec, BERT4Rec, Caser and gSASRec were "
        "measured: rows of one second stand in an order that no other sort gives",
    ),
    (
        "toys",
        "s3rec",
        "Toys_and_Games.txt",
        {"interactions": 167_597, "users": 19_412, "items": 11_924},
        S3REC,
    ),
    (
        "sports",
        "s3rec",
        "Sports_and_Outdoors.txt",
        {"interactions": 296_337, "users": 35_598, "items": 18_357},
        S3REC,
    ),
    ("yelp", "s3rec", "Yelp.txt", {"interactions": 316_354, "users": 30_431, "items": 20_033}, S3REC),
):
    register(
        Dataset(
            name=_name,
            url="",
            archive_folder=_folder,
            required=_file,
            read=_read_users,
            facts=_facts,
            origin=_origin,
        )
    )
register(
    Dataset(
        name="beauty",
        url=(
            "https://raw.githubusercontent.com/salesforce/ICLRec/"
            "2890e6c3ff6a22c6699fc19cb863b66786c1cde4/data/Beauty.txt"
        ),
        archive_folder="beauty",
        required="Beauty.txt",
        read=_read_users,
        checksum="sha256:226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
        facts={"interactions": 198_502, "users": 22_363, "items": 12_101},
    )
)
