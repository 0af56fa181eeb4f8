import pytest

from tests.reliability.harness import Server, command, outcome, write_ratings


@pytest.fixture(scope="session")
def server():
    started = Server()
    yield started
    started.close()


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    path = tmp_path_factory.mktemp("ratings") / "toy.csv"
    write_ratings(path)
    return path


@pytest.fixture(scope="session")
def unbroken(server, ratings, tmp_path_factory):
    """Return a function that gives the outcome and the answer of an unbroken run, made once."""
    known = {}

    def run(*arguments, **options):
        key = (arguments, repr(options))
        if key not in known:
            folder = tmp_path_factory.mktemp("unbroken")
            answer = server.run(command(ratings, folder, *arguments, **options), below=str(folder))
            assert answer["status"] == 0, answer["text"]
            known[key] = outcome(folder), answer
        return known[key]

    return run
