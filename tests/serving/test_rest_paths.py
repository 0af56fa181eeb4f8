"""Paths as TensorFlow Serving reads them, by its own tests and documentation."""

import pytest

from tfzoo.errors import UsageError
from tfzoo.serving.rest_paths import Target, is_of_the_api, parse_path

RESERVED = "modelname%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/v1/models/m", Target("m", None, None, "status")),
        ("GET", "/v1/models/m/versions/99", Target("m", 99, None, "status")),
        ("GET", "/v1/models/m/versions/0099", Target("m", 99, None, "status")),
        ("GET", "/v1/models/m/versions/000", Target("m", 0, None, "status")),
        ("GET", f"/v1/models/m/versions/{2**63 - 1}", Target("m", 2**63 - 1, None, "status")),
        ("GET", f"/v1/models/m/versions/{'0' * 5000}7", Target("m", 7, None, "status")),
        ("GET", "/v1/models/m/metadata", Target("m", None, None, "metadata")),
        ("GET", "/v1/models/m/versions/2/metadata", Target("m", 2, None, "metadata")),
        ("GET", "/v1/models/m/labels/latest", Target("m", None, "latest", "status")),
        ("GET", "/v1/models/m/labels/a%2Fb/metadata", Target("m", None, "a/b", "metadata")),
        ("POST", "/v1/models/m:predict", Target("m", None, None, "predict")),
        ("POST", "/v1/models/m:classify", Target("m", None, None, "classify")),
        ("POST", "/v1/models/m/versions/2:regress", Target("m", 2, None, "regress")),
        ("POST", "/v1/models/m/labels/a:predict", Target("m", None, "a", "predict")),
        ("GET", f"/v1/models/{RESERVED}", Target("modelname!#$%&'()*+,/:;=?@[]", None, None, "status")),
        (
            "POST",
            f"/v1/models/{RESERVED}:predict",
            Target("modelname!#$%&'()*+,/:;=?@[]", None, None, "predict"),
        ),
        # The parts in any case; the name of a model is left as it is.
        ("GET", "/V1/Models/MyModel/VERSIONS/1/Metadata", Target("MyModel", 1, None, "metadata")),
        ("POST", "/V1/MODELS/MyModel:predict", Target("MyModel", None, None, "predict")),
        ("GET", "http://host:8501/v1/models/m", Target("m", None, None, "status")),
        ("GET", "/v1/models/metadata", Target("metadata", None, None, "status")),
        ("GET", "/v1/models/..%2F..%2Fetc", Target("../../etc", None, None, "status")),
    ],
)
def test_paths_that_are_read(method, path, target):
    assert is_of_the_api(path)
    assert parse_path(method, path) == target


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v1/models", "Missing model name"),
        ("GET", "/v1/models/", "Missing model name"),
        ("POST", "/v1/models", "Malformed request: POST"),
        ("GET", "/v1/foo", 'Malformed request: GET "/v1/foo"'),
        ("POST", "/v1/foo", "Malformed"),
        ("GET", "/v1/models/m/", "Malformed"),
        ("GET", "/v1/models/a/b", "Malformed"),
        ("GET", "/v1/models/m:predict", "Malformed request: GET .* POST /v1/models/NAME:predict"),
        ("POST", "/v1/models/m", "Malformed"),
        ("POST", "/v1/models/m/metadata", "Malformed"),
        ("POST", "/v1/models/m:PREDICT", "Malformed"),
        ("POST", "/v1/models/m:predic", "Malformed"),
        ("POST", "/v1/models/m/version/50:predict", "Malformed"),
        ("POST", "/v1/models/m/versions/HELLO:predict", "Malformed"),
        ("POST", "/v1/models/m/versions/-1:predict", "Malformed"),
        ("GET", "/v1/models/m/versions/%31", "Malformed"),
        ("POST", "/v1/models/m/versions/5/labels/a:predict", "Malformed"),
        ("PUT", "/v1/models/m:predict", "Malformed request: PUT"),
        ("HEAD", "/v1/models/m", "Malformed request: HEAD"),
        ("OPTIONS", "/v1/models/m", "Malformed"),
        ("GET", f"/v1/models/m/versions/{2**63}", "9223372036854775808.* no number of 64 bits"),
        ("POST", f"/v1/models/m/versions/{2**64}:regress", "no number of 64 bits"),
        ("GET", f"/v1/models/m/versions/{'9' * 10_000}", "no number of 64 bits"),
    ],
)
def test_paths_that_are_refused(method, path, message):
    with pytest.raises(UsageError, match=message) as refusal:
        parse_path(method, path)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1x/models/m", "/v2/models/m", "/a/v1/models/m", "http://v1/models"]
)
def test_paths_of_something_else(path):
    assert not is_of_the_api(path)
