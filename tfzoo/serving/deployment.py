"""What a TensorFlow Serving server needs beside the exported models: its settings, and how to start it."""

from __future__ import annotations

import json
from pathlib import Path

from tfzoo.errors import TfzooError
from tfzoo.files import write_text

MODELS_CONFIG = "models.config"
BATCHING_CONFIG = "batching.config"
COMPOSE = "docker-compose.yml"

# Where the compose file shows the exports to the server.
MOUNTED_AT = "/models"

# With padding, TensorFlow Serving fills rows up with the first element of a request's tensor: clients
# put the blank id there (see docs/serving.md).
# A request with more rows than the largest batch is refused; it cannot be divided, because the lists of
# its parts could have different lengths.
BATCHING = """\
max_batch_size { value: 1024 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 4 }
pad_variable_length_inputs: true
"""

COMPOSE_TEXT = f"""\
# docker compose up: serves the models of this folder, REST on port 8501 and gRPC on port 8500.
services:
  tfzoo:
    image: ${{TF_SERVING_IMAGE:-tensorflow/serving:latest}}
    command:
      - --model_config_file={MOUNTED_AT}/{MODELS_CONFIG}
      - --model_config_file_poll_wait_seconds=30
      - --enable_batching
      - --batching_parameters_file={MOUNTED_AT}/{BATCHING_CONFIG}
    ports:
      - 127.0.0.1:8500:8500
      - 127.0.0.1:8501:8501
    volumes:
      - .:{MOUNTED_AT}:ro
"""


def write_deployment(export_dir: Path) -> None:
    """Write the server's settings for all models of a folder.

    ``models.config`` is made anew from the models that are there. ``batching.config`` and
    ``docker-compose.yml`` are written where they are missing, so that changes by hand are kept.

    Args:
        export_dir: the folder of the exported models, ``<model>-<dataset>/<version>/``.

    Raises:
        TfzooError: the folder cannot be written.
    """
    try:
        # Where it is not there, to make it would hide that it was misspelt.
        export_dir.stat()
        for name, text in ((BATCHING_CONFIG, BATCHING), (COMPOSE, COMPOSE_TEXT)):
            if not (export_dir / name).exists():
                _write(export_dir / name, text)
        written = None
        while written != (text := models_config(export_dir)):
            # Once more where another process has published a model since: its list may have come first.
            _write(export_dir / MODELS_CONFIG, text)
            written = text
    except OSError as error:
        raise TfzooError(f"Cannot write the server's settings to {export_dir}: {error}") from error


def models_config(export_dir: Path) -> str:
    """Return a ``ModelServerConfig`` in text form that lists every exported model of a folder."""
    names = sorted({path.parent.parent.name for path in export_dir.glob("*/[0-9]*/saved_model.pb")})
    configs = [
        f"  config {{\n    name: {_quoted(name)}\n    base_path: {_quoted(f'{MOUNTED_AT}/{name}')}\n"
        '    model_platform: "tensorflow"\n  }\n'
        for name in names
    ]
    return "model_config_list {\n" + "".join(configs) + "}\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    """Write so that a server that reads at the same time sees the old file or the new one."""
    write_text(path, text)
    # A server runs as another user.
    path.chmod(0o644)
