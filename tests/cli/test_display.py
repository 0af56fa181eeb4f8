"""What the table of one run shows."""

from pathlib import Path

import pytest

from tfzoo.cli.display import print_summary
from tfzoo.reporting.summary import summarise
from tfzoo.training.record import RunRecord

RECORDS = Path(__file__).parents[2] / "results" / "ease-ml-1m-paper"


@pytest.mark.parametrize("every_metric", [True, False])
def test_the_headline_alone_is_shown_on_demand(capsys, every_metric):
    record = RunRecord.model_validate_json(next(RECORDS.glob("seed-*.json")).read_text(encoding="utf-8"))
    (summary,) = summarise([record])
    print_summary(summary, every_metric=every_metric)
    out = capsys.readouterr().out
    for metric in summary.task.headline:
        assert f"{metric} " in out
    assert ("mrr@10" in out) == ("map_min@10" in out) == every_metric
    assert ("--verbose, or `tfzoo results`, shows 3 more metrics." in out) != every_metric
