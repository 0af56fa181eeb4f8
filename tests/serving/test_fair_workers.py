"""Threads in a fair order: requests that are late, that fail, and that nobody waits for."""

import asyncio
import threading
import time

import pytest

from tests.patience import PATIENCE
from tfzoo.errors import UsageError
from tfzoo.serving.fair_queue import Client, QueueFullError
from tfzoo.serving.fair_workers import FairWorkers, GoneError

CLIENT = Client("a", "c")


async def wanted():
    return True


def once(work):
    """Return work that yields never."""
    return work()
    yield


def run(scenario, *, threads=1, room=10):
    async def with_workers():
        workers = FairWorkers(threads, room)
        try:
            return await asyncio.wait_for(scenario(workers), PATIENCE)
        finally:
            workers.stop()

    return asyncio.run(with_workers())


def test_a_result_and_an_error():
    def refuse():
        raise UsageError("no")

    async def scenario(workers):
        with pytest.raises(UsageError, match="no"):
            await workers.run(CLIENT, 0.0, wanted, once(refuse))
        return await workers.run(CLIENT, 0.0, wanted, once(lambda: 42))

    assert run(scenario) == 42


def test_a_request_that_nobody_waits_for_is_not_worked_on():
    done = []

    async def gone():
        return False

    async def scenario(workers):
        with pytest.raises(GoneError):
            await workers.run(CLIENT, 0.0, gone, once(lambda: done.append(1)))
        # Its place is free.
        await workers.run(CLIENT, 0.0, wanted, once(lambda: done.append(2)))

    run(scenario)
    assert done == [2]


def test_a_late_request_keeps_its_place_until_its_thread_is_done():
    go, began = threading.Event(), []

    async def scenario(workers):
        def late():
            began.append("late")
            go.wait(PATIENCE)

        first = asyncio.ensure_future(workers.run(CLIENT, 0.0, wanted, once(late)))
        while not began:
            await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(workers.run(CLIENT, 0.0, wanted, once(lambda: began.append("second"))))
        # Were the place free, the second would not wait at all.
        for _ in range(100):
            await asyncio.sleep(0)
        assert began == ["late"]
        assert not second.done()
        assert workers._queue._waiting
        go.set()
        await second

    run(scenario)
    assert began == ["late", "second"]


@pytest.mark.parametrize(("error", "told"), [(RuntimeError("secret"), True), (UsageError("no"), False)])
def test_an_error_after_the_answer_was_given_up_is_in_the_log(caplog, error, told):
    go, began = threading.Event(), threading.Event()

    async def scenario(workers):
        def fail():
            began.set()
            go.wait(PATIENCE)
            raise error

        late = asyncio.ensure_future(workers.run(CLIENT, 0.0, wanted, once(fail)))
        await asyncio.to_thread(began.wait, PATIENCE)
        late.cancel()
        go.set()
        await workers.run(CLIENT, 0.0, wanted, once(lambda: None))

    run(scenario)
    assert ("RuntimeError: secret" in caplog.text) == told


def test_time_that_was_taken_by_others_does_not_count():
    async def scenario(workers):
        await workers.run(CLIENT, 0.0, wanted, once(lambda: threading.Event().wait(0.5)))
        return workers._queue._last_tags[CLIENT.connection]

    assert run(scenario) < 0.4


def test_others_come_where_the_work_yields():
    came = []

    def slices(name, count):
        for number in range(count):
            came.append(f"{name} {number}")
            time.sleep(0.001)
            yield
        return name

    async def scenario(workers):
        large = asyncio.ensure_future(workers.run(CLIENT, 0.0, wanted, slices("large", 50)))
        while len(came) < 3:
            await asyncio.sleep(0.001)
        small = await workers.run(Client("b", "d"), 0.0, wanted, slices("small", 1))
        between = len(came)
        return between, await large, small

    between, *results = run(scenario)
    assert results == ["large", "small"]
    assert between < 45
    assert [name for name in came if name.startswith("large")] == [f"large {number}" for number in range(50)]


def test_work_that_has_begun_is_not_turned_away():
    async def scenario(workers):
        def slices():
            for _ in range(20):
                yield
            return "done"

        asked = [
            asyncio.ensure_future(workers.run(Client("a", number), 1e-6, wanted, slices()))
            for number in range(30)
        ]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = run(scenario, room=5)
    assert found.count("done") == 5
    assert {type(error) for error in found if error != "done"} == {QueueFullError}


@pytest.mark.parametrize("at", range(5))
def test_work_that_is_given_up_between_its_slices_leaves_no_gap(at):
    async def scenario(workers):
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slices():
            for number in range(50):
                if number == at:
                    loop.call_soon_threadsafe(reached.set)
                yield

        asked = [
            asyncio.ensure_future(workers.run(Client("a", number), 0.0, wanted, slices()))
            for number in range(3)
        ]
        await reached.wait()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        # Were a place lost, this would wait for ever.
        return await workers.run(CLIENT, 0.0, wanted, once(lambda: "next"))

    assert run(scenario) == "next"


def test_work_that_nobody_wants_any_more_is_not_gone_on_with():
    slices_done = []

    async def still_wanted():
        return len(slices_done) < 2

    async def scenario(workers):
        def slices():
            for number in range(50):
                slices_done.append(number)
                yield

        with pytest.raises(GoneError):
            await workers.run(CLIENT, 0.0, still_wanted, slices())

    run(scenario)
    assert slices_done == [0, 1]
