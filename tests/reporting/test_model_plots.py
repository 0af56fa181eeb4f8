"""Plots of one model: what was drawn where, and the files."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tfzoo.evaluation.groups import equal_groups, group_figures
from tfzoo.reporting import model_plots
from tfzoo.reporting.model_plots import Cloud, GroupPanel, plot_clouds, plot_groups, plot_lengths


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are saved."""
    figures, save = [], model_plots.save_figure

    def keep(figure, target):
        figures.append(figure)
        return save(figure, target)

    monkeypatch.setattr(model_plots, "save_figure", keep)
    return figures


def assert_images(files, target):
    assert files == [target.with_suffix(".png"), target.with_suffix(".svg")]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(files[1]).getroot().tag.endswith("svg")


def test_points_have_intervals_and_bars_are_shares(drawn, tmp_path):
    groups = equal_groups([1, 1, 8, 8, 9], 2)
    figures = {"RMSE": group_figures([1.0, 3.0, 1.0, 2.0, 3.0], groups)}
    shares = {"test": np.array([0.25, 0.75]), "listed": np.array([0.0, 1.0])}
    panels = [
        GroupPanel("ratings of the user", "ratings", groups, figures, {}),
        GroupPanel("ratings of the item", "items", groups, {}, shares),
    ]
    assert_images(plot_groups(panels, "title", tmp_path / "errors"), tmp_path / "errors")
    left, right = drawn[0].axes
    (container,) = left.containers
    assert container.lines[0].get_xydata().tolist() == [[0, 2], [1, 2]]
    ends = [segment[:, 1].tolist() for segment in container.lines[2][0].get_segments()]
    found = figures["RMSE"]
    assert ends == [pytest.approx([found.low[at], found.high[at]]) for at in (0, 1)]
    assert [text.get_text() for text in left.get_xticklabels()] == ["1\n(2)", "8-9\n(3)"]
    assert [bar.get_height() for bar in right.patches] == [0.25, 0.75, 0, 1]
    # Bars of one group stand side by side.
    assert [round(bar.get_x(), 3) for bar in right.patches] == [-0.4, 0.6, 0.0, 1.0]


def test_a_panel_for_each_metric_against_the_length(drawn, tmp_path):
    lines = {
        "neumf": {"hr@10": 0.5, "hr@2": 0.25, "ndcg@2": 0.125, "recall@1": 0.1, "recall_min@1": 0.9},
        "bmf": {"hr@2": 0.75, "ndcg@2": 0.5, "ndcg@1": 0.0, "recall@1": 0.2},
    }
    assert_images(plot_lengths(lines, "title", tmp_path / "lengths"), tmp_path / "lengths")
    shown = {axes.get_ylabel(): axes for axes in drawn[0].axes if axes.get_visible()}
    assert list(shown) == ["hr@k", "recall@k", "ndcg@k"]
    found = {line.get_label(): line.get_xydata().tolist() for line in shown["hr@k"].lines}
    assert found == {"neumf": [[2, 0.25], [10, 0.5]], "bmf": [[2, 0.75]]}
    assert shown["recall@k"].lines[0].get_xydata().tolist() == [[1, 0.1]]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_vectors_are_coloured_by_their_values(drawn, tmp_path, dimensions):
    places = np.random.default_rng(0).normal(size=(40, dimensions))
    # Ten values, of which nine have a colour of their own, and one item without a value.
    values = np.array(["", *(f"genre {number % 10}" for number in range(39))])
    clouds = [
        Cloud("40 items", places, np.array([0.5, 0.25, 0.125])[:dimensions], "genres", values),
        Cloud("2 users", places[:2], np.array([0.5, 0.5, 0.0])[:dimensions]),
    ]
    assert_images(plot_clouds(clouds, "title", tmp_path / "cloud"), tmp_path / "cloud")
    items, users = drawn[0].axes
    shown = {points.get_label(): points for points in items.collections}
    assert list(shown) == ["other", *(f"genre {number}" for number in range(9))]
    colours = {tuple(points.get_facecolor()[0]) for points in shown.values()}
    assert len(colours) == 10
    counts = {label: len(points.get_offsets()) for label, points in shown.items()}
    assert counts == {"other": 4, **{f"genre {number}": 4 for number in range(9)}}
    assert items.get_xlabel() == "component 1, 50.0 % of variance"
    assert "genres" in items.get_title()
    assert items.get_legend() is not None
    assert users.get_legend() is None
    assert len(users.collections) == 1
    if dimensions == 3:
        assert items.get_zlabel() == "component 3, 12.5 % of variance"


def test_the_same_vectors_give_the_same_files(tmp_path):
    cloud = Cloud("3 items", np.eye(3)[:, :2], np.array([0.5, 0.5]))
    first = [path.read_bytes() for path in plot_clouds([cloud], "t", tmp_path / "one")]
    again = [path.read_bytes() for path in plot_clouds([cloud], "t", tmp_path / "one")]
    assert first == again
