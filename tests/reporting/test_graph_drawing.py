"""Graphs of models as they are read, placed and drawn."""

import itertools
import re
from xml.etree import ElementTree

import keras
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.models import create_model
from tfzoo.reporting.graph import dimension, read_graph
from tfzoo.reporting.graph_drawing import draw_graph
from tfzoo.reporting.graph_layout import place

SIZES = (943, 1682)


def test_dimensions_are_named_after_what_they_count():
    assert [dimension(size, *SIZES) for size in (None, 943, 944, 945, 1682, 1683, 942, 40)] == [
        "B",
        "users",
        "users + 1",
        "users + 2",
        "items",
        "items + 1",
        "942",
        "40",
    ]


def test_a_graph_has_the_layers_and_what_flows_between_them():
    row = keras.Input((1683,), dtype="float32", name="user_row")
    hidden = keras.layers.Dense(8, activation="relu", name="encoder")(row)
    joined = keras.layers.Concatenate()([hidden])
    both = keras.layers.Activation("linear")(joined) + hidden
    model = keras.Model({"user_row": row}, {"scores": keras.layers.Dense(1683, name="scores")(both)})
    graph = read_graph(model, *SIZES)
    shown = [(node.name, node.kind, node.shape, node.is_input) for node in graph.nodes.values()]
    assert shown == [
        ("user_row", "float32", "[B, items + 1]", True),
        ("encoder", "Dense 8 relu", "[B, 8]", False),
        ("", "Add", "[B, 8]", False),
        ("scores", "Dense items + 1", "[B, items + 1]", False),
    ]
    (add,) = (key for key, node in graph.nodes.items() if node.kind == "Add")
    assert graph.edges == [("user_row", "encoder"), ("encoder", add), (add, "scores")]
    assert graph.outputs == {"scores": "scores"}


def test_towers_are_groups_with_ports():
    graph = read_graph(create_model("edrs", *SIZES), *SIZES)
    assert set(graph.nodes) == {"user_tower", "item_tower", "head"}
    assert graph.ports["user_tower", "head"] == ["user_vector"]
    assert graph.ports["item_tower", "head"] == ["item_vector"]
    kinds = [node.kind for node in graph.nodes["user_tower"].inner.nodes.values()]
    assert kinds == ["int32", "IdEmbedding 10", "Dense 80 relu", "Dense 40 relu", ""]


def test_a_layer_that_is_called_twice_is_shown_twice():
    graph = read_graph(create_model("gru4rec", *SIZES), *SIZES)
    assert [node.kind for node in graph.nodes.values()].count("ItemScores") == 2
    assert graph.nodes[graph.outputs["scores"]].shape == "[B, items + 1]"


def test_drawings_do_not_depend_on_how_many_layers_there_were_before():
    first, second = (draw_graph(read_graph(create_model("svdpp", *SIZES), *SIZES), "svdpp") for _ in range(2))
    assert first == second
    texts = [element.text for element in ElementTree.fromstring(first).iter() if element.tag.endswith("text")]
    assert {"user_row", "item_id", "rating", "user_tower", "head", "SetEmbedding 20 l2 0.02"} <= set(texts)


def test_every_text_stays_in_its_box():
    drawing = draw_graph(read_graph(create_model("adrs", *SIZES), *SIZES), "adrs")
    _, _, width, height = (float(value) for value in ElementTree.fromstring(drawing).get("viewBox").split())
    for x, y, wide, high in re.findall(
        r'x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawing
    ):
        assert 0 <= float(x) <= float(x) + float(wide) <= width
        assert 0 <= float(y) <= float(y) + float(high) <= height


@given(
    st.integers(1, 12), st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=25), st.randoms()
)
def test_boxes_do_not_overlap_and_edges_lead_down(count, pairs, random):
    sizes = {str(n): (random.uniform(20, 200), random.uniform(20, 90)) for n in range(count)}
    edges = sorted({(str(a), str(b)) for a, b in pairs if a < b < count})
    layout = place(sizes, edges)
    boxes = [(*layout.corners[n], *sizes[n]) for n in sizes]
    assert set(layout.corners) == set(sizes)
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 + 1e-6 or x2 + w2 <= x + 1e-6 or y + h <= y2 + 1e-6 or y2 + h2 <= y + 1e-6
    for (first, second), route in layout.routes.items():
        assert all(a[1] <= b[1] for a, b in itertools.pairwise(route))
        bottom = layout.corners[first][1] + sizes[first][1]
        assert abs(route[0][1] - bottom) < 1e-6 < layout.corners[second][1] - bottom
        assert route[-1][1] == layout.corners[second][1]
