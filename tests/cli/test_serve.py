"""``tfzoo serve`` as a command: what it says, refuses and does on signals."""

import builtins
import re
import signal
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tests.serving.listening import connect
from tests.serving.served import ENVIRONMENT, ROOT, TEXTS, ServerProcess, ask, export_texts, predict, serving
from tfzoo.cli import main
from tfzoo.serving.rest_client import RestClient


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    export_texts(toy, folder)
    return folder


def refused(capsys, *arguments, status=2):
    assert main(["serve", *map(str, arguments)]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_it_serves_until_it_is_told_to_stop(folder, tmp_path):
    with ServerProcess(folder, tmp_path / "log") as server:
        assert server.address.startswith("127.0.0.1:")
        with RestClient(server.address, TEXTS, timeout=PATIENCE) as client:
            assert client.recommend(100, 3).known_user
            # The open connection of an idle client does not hold it up.
            assert server.stop(signal.SIGTERM) == 0
        text = server.text()
    assert f"Model '{TEXTS}': version 1 is served" in text
    assert text.splitlines()[-1] == "Stopped."
    assert "Warning: " not in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_a_public_server_with_limits_that_is_stopped_with_ctrl_c(folder, tmp_path):
    limits = ["--max-body-bytes", "50", "--timeout", "0.5", "--poll-seconds", "0", "--max-connections", "5"]
    options = ["--host", "0.0.0.0", "--model", TEXTS, *limits]
    with ServerProcess(folder, tmp_path / "log", *options) as server:
        assert "Warning: 0.0.0.0 is public. Whoever reaches it can ask" in server.text()
        port = int(server.address.split(":")[1])
        address = f"127.0.0.1:{port}"
        assert ask(address, "GET", "/healthz") == (200, {"status": "ok"})
        assert predict(address, b"x" * 51)[0] == 413
        with connect(port) as connection:
            head = f"POST /v1/models/{TEXTS}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
            assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.text()


def test_a_port_that_is_taken(folder, capsys):
    with serving(folder) as (address, _):
        port = address.split(":")[1]
        assert refused(capsys, folder, "--port", port) == (
            f"tfzoo: error: Cannot listen on 127.0.0.1, --port {port}: Address already in use."
        )


def test_a_host_that_is_none(folder, capsys):
    message = refused(capsys, folder, "--port", 0, "--host", "no.such.host.invalid")
    assert message.startswith("tfzoo: error: --host no.such.host.invalid is no address of this machine: ")
    message = refused(capsys, folder, "--port", 0, "--host", "\udcff")
    assert message.startswith("tfzoo: error: --host \\udcff is no name of a machine: ")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "65536", "--port must be between 0 and 65535. Received 65536."),
        ("--port", "-1", "--port must be between 0 and 65535. Received -1."),
        ("--timeout", "0", "--timeout must be above 0. Received 0.0."),
        ("--timeout", "nan", "--timeout must be above 0. Received nan."),
        ("--max-body-bytes", "0", "--max-body-bytes must be above 0. Received 0."),
        ("--max-concurrency", "-3", "--max-concurrency must be above 0. Received -3."),
        ("--max-outputs", "0", "--max-outputs must be above 0. Received 0."),
        ("--max-connections", "0", "--max-connections must be above 0. Received 0."),
        (
            "--max-connections-per-address",
            "-1",
            "--max-connections-per-address must be above 0. Received -1.",
        ),
        ("--header-timeout", "0", "--header-timeout must be above 0. Received 0.0."),
        ("--timeout", "inf", "--timeout must be at most 86400 seconds, which is a day. Received inf."),
        (
            "--header-timeout",
            "1e9",
            "--header-timeout must be at most 86400 seconds, which is a day. Received 1000000000.0.",
        ),
        (
            "--poll-seconds",
            "inf",
            "--poll-seconds must be at most 86400 seconds, which is a day. Received inf.",
        ),
        ("--poll-seconds", "-1", "--poll-seconds must be at least 0. Received -1.0."),
    ],
)
def test_options_without_sense(folder, capsys, option, value, message):
    assert refused(capsys, folder, f"{option}={value}") == f"tfzoo: error: {message}"


def test_more_connections_than_files_may_be_open(folder, capsys):
    message = refused(capsys, folder, "--port", 0, "--max-connections", 10**12)
    assert re.fullmatch(
        r"tfzoo: error: --max-connections may be \d+ with this limit of open files \(ulimit -n\). "
        r"Received 1000000000000.",
        message,
    )


def test_a_folder_without_models(tmp_path, capsys):
    message = refused(capsys, tmp_path, "--port", 0)
    assert message.startswith(
        f"tfzoo: error: There is no exported model in {tmp_path}: expected MODEL/VERSION"
    )


def test_a_model_that_is_not_there(folder, capsys):
    message = refused(capsys, folder, "--port", 0, "--model", "ease-tos")
    assert message.endswith(f"There is no model 'ease-tos' in {folder}. Did you mean 'ease-toy'?")


def test_models_that_are_all_broken(tmp_path, capsys):
    (tmp_path / "m" / "1").mkdir(parents=True)
    assert main(["serve", str(tmp_path), "--port", "0"]) == 1
    captured = capsys.readouterr()
    assert "Model 'm': version 1 is broken and not served: " in captured.out
    assert captured.err == f"tfzoo: error: No model in {tmp_path} can be served.\n"


@pytest.mark.parametrize("missing", ["uvicorn", "starlette.applications"])
def test_without_the_extra(folder, capsys, monkeypatch, missing):
    found = builtins.__import__

    def without(name, *arguments):
        if name == missing:
            raise ModuleNotFoundError(name)
        return found(name, *arguments)

    for module in ("server", "http_server", "connections"):
        monkeypatch.delitem(sys.modules, f"tfzoo.serving.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    assert refused(capsys, folder) == "tfzoo: error: tfzoo serve needs an extra: pip install 'tfzoo[serve]'."


def test_the_script():
    done = subprocess.run(
        [sys.executable, "scripts/serve.py", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=PATIENCE,
        check=True,
    )
    assert "--max-concurrency" in done.stdout
