"""What the tasks that recommend lists of items have in common."""

from __future__ import annotations

from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.problems.ranking import RankingSettings
from tfzoo.tasks.base import Task


class RankingTask(Task):
    """A task that is measured by full or sampled ranking of the items a user has not seen."""

    evaluation = "ranking"
    ranks_lists = True
    settings: RankingSettings

    @property
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""
        return self.settings.monitor

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""
        shown = ("hr", "ndcg", "precision", "recall", "map")
        return tuple(f"{metric}@{self.settings.cutoffs[0]}" for metric in shown)

    def check_split(self, split: Split) -> None:
        """Raise `UsageError` where nothing is known of the users that lists are measured for."""
        super().check_split(split)
        known = split.train.user_counts() > 0
        if split.fold_in is not None:
            if not self.reads_history:
                raise UsageError(
                    f"Models of the task '{self.name}' know a user by the id alone, and nothing of "
                    f"held-out users ({split.protocol}). Use another protocol, such as per-user, or a model "
                    "that reads histories, such as ease or mult-vae."
                )
            known |= split.fold_in.user_counts() > 0
        for name, part in (("validation", split.validation), ("test", split.test)):
            if not known[part.user_id].any():
                raise UsageError(
                    f"Of no user of the {name} part an interaction is known, so all would get one list "
                    f"({split.protocol}). Models of the next item are measured on whole sessions, such as "
                    "session-cooccurrence; this one needs another protocol, such as leave-one-out."
                )

    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""
        return (
            "recall and map are divided by all relevant items (recall_min and map_min by at most K), "
            "means are over users with a test item, ties count against the model"
        )
