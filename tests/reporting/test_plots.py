"""Plots of records: the figures that were drawn, and the files."""

import builtins
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.reporting.test_results import ranking_record, record
from tfzoo.cli.main import main
from tfzoo.cli.results import write_plots
from tfzoo.errors import UsageError
from tfzoo.reporting import plots
from tfzoo.reporting.plots import (
    comparison_name,
    cutoffs,
    plot_comparison,
    plot_curves,
    plot_cutoffs,
    plot_history,
)
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import summarise


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are saved."""
    figures, save = [], plots.save_figure

    def keep(figure, target):
        figures.append(figure)
        return save(figure, target)

    monkeypatch.setattr(plots, "save_figure", keep)
    return figures


def assert_images(files, target):
    assert files == [target.with_suffix(".png"), target.with_suffix(".svg")]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(files[1]).getroot().tag.endswith("svg")


def test_bars_are_means_with_deviations_and_marks_are_printed(drawn, tmp_path):
    summaries = summarise([record(0, 1.0), record(1, 0.9), record(0, 0.8, model="edrs", paper=None)])
    assert_images(plot_comparison(summaries, "rmse", tmp_path / "bars"), tmp_path / "bars")
    (axes,) = drawn[0].axes
    heights = {
        text.get_text().split("\n")[0]: bar.get_height()
        for text, bar in zip(axes.get_xticklabels(), axes.patches, strict=True)
    }
    assert heights == pytest.approx({"edrs": 0.8, "pmf": 0.95})
    (marks,) = [c for c in axes.collections if c.get_label() == "printed"]
    assert marks.get_offsets().tolist() == [[1, 0.9]]
    low, high = axes.get_ylim()
    assert low < 0.8
    assert high > 1.0
    assert "less is better" in axes.get_ylabel()


def test_the_same_records_give_the_same_file(tmp_path):
    summaries = summarise([record()])
    first, again = (plot_comparison(summaries, "rmse", tmp_path / name)[0] for name in ("one", "two"))
    assert first.read_bytes() == again.read_bytes()


def test_history_with_the_best_epoch_and_without_the_refit(drawn, tmp_path):
    epochs = [{"loss": 3.0, "val_rmse": 1.1}, {"loss": 2.0, "val_rmse": 0.9}, {"loss": 9.0, "refit": 1.0}]
    assert_images(
        plot_history(record(history=epochs, best_epoch=2), tmp_path / "history"), tmp_path / "history"
    )
    loss, monitored = drawn[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 3], [2, 2]]
    assert monitored.lines[0].get_xydata().tolist() == [[1, 1.1], [2, 0.9]]
    assert set(loss.lines[1].get_xdata()) == {2}


def test_curves_of_a_table_beside_each_other(drawn, tmp_path):
    epochs = [{"loss": 3.0, "val_rmse": 1.1}, {"loss": 2.0}, {"loss": 1.5, "val_rmse": 0.9}]
    collected = [{"epoch": 10.0, "loss": 4.0, "val_rmse": 1.0}, {"epoch": 30.0, "loss": 3.0, "val_rmse": 0.8}]
    summaries = summarise(
        [
            record(history=[*epochs, {"loss": 9.0, "refit": 1.0}], best_epoch=3),
            record(model="edrs", paper=None, history=collected, best_epoch=10),
            record(model="dcf", paper=None, history=[]),
        ]
    )
    assert_images(plot_curves(summaries, tmp_path / "curves"), tmp_path / "curves")
    losses, validation = drawn[0].axes
    found = {line.get_label(): line.get_xydata().tolist() for line in losses.lines}
    assert found == {"edrs paper": [[10, 4], [30, 3]], "pmf paper": [[1, 3], [2, 2], [3, 1.5]]}
    assert [line.get_xydata().tolist() for line in validation.lines] == [
        [[10, 1], [30, 0.8]],
        [[10, 1]],
        [[1, 1.1], [3, 0.9]],
        [[3, 0.9]],
    ]
    colours = [line.get_color() for line in validation.lines]
    assert colours == [losses.lines[0].get_color()] * 2 + [losses.lines[1].get_color()] * 2
    assert "rmse" in validation.get_ylabel()
    plot_history(record(history=collected, best_epoch=10), tmp_path / "one")
    assert drawn[1].axes[0].lines[0].get_xydata().tolist() == [[10, 4], [30, 3]]


def test_plots_of_a_table_are_drawn_and_embedded(tmp_path):
    test = {"hr@5": 0.25, "hr@10": 0.5, "ndcg@10": 0.4, "precision@10": 0.1, "recall@10": 0.1, "map@10": 0.1}
    summaries = summarise(
        [
            ranking_record(metrics={"test": test}, history=[{"loss": 1.0}]),
            record(model="edrs", history=[]),
        ]
    )
    page = markdown(summaries)
    folder = tmp_path / "plots"
    written = {path.name for path in write_plots(summaries, folder)}
    embedded = re.findall(r"!\[([^]]+)\]\(plots/([^)]+)\)", page)
    assert {name for _, name in embedded} == {name for name in written if name.endswith(".png")}
    assert len(embedded) == len(written) / 2 == 4
    texts = {name: text for text, name in embedded}
    assert texts["ml-100k-given-split-two-hr-by-length.png"] == "hr against the length of the list"
    assert "epoch" in texts["ml-100k-given-split-two-training.png"]


def test_a_metric_against_the_length_of_the_list(drawn, tmp_path):
    test = {"ndcg@10": 0.5, "ndcg@100": 0.75, "ndcg@5": 0.25, "hr@10": 0.5}
    summaries = summarise([ranking_record(metrics={"test": test})])
    assert cutoffs(summaries[0], "ndcg") == [(5, 0.25), (10, 0.5), (100, 0.75)]
    assert_images(plot_cutoffs(summaries, "ndcg", tmp_path / "k"), tmp_path / "k")
    assert drawn[0].axes[0].lines[0].get_xydata().tolist() == [[5, 0.25], [10, 0.5], [100, 0.75]]
    with pytest.raises(UsageError, match=r"'hr' at two lengths"):
        plot_cutoffs(summaries, "hr", tmp_path / "k")


def test_what_cannot_be_drawn_is_said(tmp_path, monkeypatch):
    summaries = summarise([record()])
    with pytest.raises(UsageError, match=r"metric 'ndcg@10'"):
        plot_comparison(summaries, "ndcg@10", tmp_path / "x")
    with pytest.raises(UsageError, match=r"pmf on ml-100k has no history"):
        plot_history(record(history=[]), tmp_path / "x")
    with pytest.raises(UsageError, match="No record has a history"):
        plot_curves(summarise([record(history=[])]), tmp_path / "x")
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'tfzoo\[plots\]'"):
        plot_comparison(summaries, "rmse", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_names_of_files():
    name = comparison_name("yoochoose1_64", "given split: sessions, full ranking", "recall@20")
    assert name == "yoochoose1-64-given-split-recall-20"


def test_plots_from_the_command_line(tmp_path, capsys):
    run = tmp_path / "runs" / "pmf-ml-100k-paper" / "seed-0"
    run.mkdir(parents=True)
    record(history=[{"loss": 1.0}, {"loss": 0.5}]).save(run)
    assert main(["plot", str(run)]) == 0
    assert main(["results", str(tmp_path / "runs"), "--plots", str(tmp_path / "plots")]) == 0
    written = {path.name for path in tmp_path.rglob("*.png")}
    assert written == {
        "history.png",
        "ml-100k-random-70-15-15-rmse.png",
        "ml-100k-random-70-15-15-training.png",
    }
    assert f"Written: {run / 'history.png'}" in capsys.readouterr().out
