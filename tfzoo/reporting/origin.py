"""Records that tables may be made of: those of committed code, which anyone can run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfzoo.errors import UsageError
from tfzoo.training.record import DIRTY, RunRecord, commit_of_code

# Made before there was this rule. Folder and seed -> why it was not run again yet.
OF_OLD = {
    "dmf-ml-1m-paper/seed-0": "40 minutes of training",
}


def refuse_uncommitted(records: Iterable[RunRecord], known: Mapping[str, str] = OF_OLD) -> None:
    """Raise `UsageError` where a record is of code that no commit has.

    Records of an installed package name its version in place of a commit, and pass.

    Args:
        records: that tables are to be made of.
        known: those that pass all the same, by folder and seed.
    """
    wrong = [
        f"{name} ({record.commit})"
        for record in records
        if record.uncommitted and (name := f"{record.run_name}/seed-{record.seed}") not in known
    ]
    if wrong:
        raise UsageError(
            f"Tables are made of runs of committed code alone. Commit, and train again: {', '.join(wrong)}."
        )


def refuse_changed_code() -> None:
    """Raise `UsageError` where the package has changes that no commit has, before hours are spent on it."""
    commit = commit_of_code()
    if commit is not None and commit.endswith(DIRTY):
        raise UsageError(
            f"The code has changes since {commit.removesuffix(DIRTY)}; tables are made of runs of committed "
            "code alone. Commit first; single runs are trained with tfzoo train."
        )
