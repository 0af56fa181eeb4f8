"""Whose turn it is, with work whose length is given instead of done."""

import asyncio
import contextlib
from collections import Counter

import pytest

from tfzoo.serving import fair_queue
from tfzoo.serving.fair_queue import Client, FairQueue, QueueFullError

BLOCKER = Client("blocker", "blocker")


def connection(name, address="a"):
    return Client(address, name)


def order(asked, *, room=1000, taken=None):
    """Return the names of requests in the order of their turns at one worker.

    Args:
        asked: name, client and guessed cost, in the order in which they come while the worker is busy.
        room: of the queue.
        taken: the seconds that requests really take, by name, where it is not the guess.
    """

    async def scenario():
        queue, done = FairQueue(1, room), []
        blocker = await queue.enter(BLOCKER, 0.0)

        async def ask(name, client, cost):
            turn = await queue.enter(client, cost)
            done.append(name)
            await asyncio.sleep(0)
            queue.leave(turn, (taken or {}).get(name, cost))

        tasks = []
        for request in asked:
            tasks.append(asyncio.ensure_future(ask(*request)))
            await asyncio.sleep(0)
        queue.leave(blocker, 0.0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in results if error and not isinstance(error, QueueFullError)]
        return done

    return asyncio.run(scenario())


def test_one_connection_is_served_in_the_order_of_its_requests():
    one = connection("c")
    assert order([("large", one, 5.0), ("small", one, 0.1), ("next", one, 0.1)]) == ["large", "small", "next"]


def test_equal_requests_come_in_the_order_in_which_they_came():
    names = [f"{number}" for number in range(20)]
    assert order([(name, connection(name, name), 1.0) for name in names]) == names


def test_a_small_request_passes_the_large_ones_of_others():
    large = [(f"large {number}", connection(number % 5), 1.0) for number in range(20)]
    assert order([*large, ("small", connection("quiet"), 0.01)])[0] == "small"


def test_connections_take_turns():
    asked = [(name, connection(name), 1.0) for name in ("a", "a", "a", "b", "b", "b")]
    # The second address pays the same: each is alone at its own.
    asked = [(name, connection(name, name), cost) for name, _, cost in asked]
    assert order(asked) in (["a", "b", "a", "b", "a", "b"], ["a", "b", "b", "a", "a", "b"])


def test_what_a_request_took_beyond_the_guess_counts_against_the_next():
    honest, sly = connection("honest", "x"), connection("sly", "y")

    async def scenario():
        queue = FairQueue(1, 10)
        turn = await queue.enter(sly, 0.1)
        queue.leave(turn, 50.0)
        blocker = await queue.enter(BLOCKER, 0.0)
        came = []

        async def ask(client):
            turn = await queue.enter(client, 1.0)
            came.append(client)
            queue.leave(turn, 1.0)

        tasks = [asyncio.ensure_future(ask(client)) for client in (sly, honest, honest, honest)]
        await asyncio.sleep(0)
        queue.leave(blocker, 0.0)
        await asyncio.gather(*tasks)
        return came

    assert asyncio.run(scenario()) == [honest, honest, honest, sly]


def shares(clients, turns):
    """Return how many turns each address gets when all its connections always ask for more."""

    async def scenario():
        queue, got = FairQueue(1, 1000), Counter()

        async def keep_asking(client):
            while True:
                turn = await queue.enter(client, 1.0)
                got[client.address] += 1
                await asyncio.sleep(0)
                queue.leave(turn, 1.0)

        tasks = [asyncio.ensure_future(keep_asking(client)) for client in clients]
        while sum(got.values()) < turns:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return got

    return asyncio.run(scenario())


def test_an_address_with_many_connections_gets_no_more_than_one_with_few():
    # Two, so that one of them waits whenever a turn is given. Who asks again misses the turn in between.
    few = [connection(name, "few") for name in "xy"]
    got = shares([connection(number, "many") for number in range(20)] + few, 400)
    assert got["few"] == pytest.approx(200, rel=0.25)


def test_a_large_request_is_not_passed_for_ever():
    async def scenario():
        queue = FairQueue(1, 1000)
        blocker = await queue.enter(BLOCKER, 0.0)
        large = asyncio.ensure_future(queue.enter(connection("large"), 1.0))
        await asyncio.sleep(0)
        turn, passed = blocker, 0
        # Small ones, each of a connection that was never seen before.
        while not large.done():
            passed += 1
            small = asyncio.ensure_future(queue.enter(connection(passed, f"address {passed}"), 0.1))
            await asyncio.sleep(0)
            queue.leave(turn, 0.0)
            await asyncio.sleep(0)
            if small.done():
                turn = small.result()
        small.cancel()
        return passed

    # By then the small ones have taken as long as the large one will.
    assert asyncio.run(scenario()) == pytest.approx(10, abs=2)


def test_where_there_is_no_room_the_last_in_the_order_goes_without():
    large = [(f"large {number}", connection(number), 1.0) for number in range(3)]
    # The blocker is the fourth.
    came = order([*large, ("small", connection("quiet"), 0.01), ("larger", connection("x"), 9.0)], room=4)
    assert came == ["small", "large 0", "large 1"]


def test_a_request_that_is_given_up_leaves_no_gap():
    async def scenario():
        queue = FairQueue(1, 3)
        blocker = await queue.enter(BLOCKER, 0.0)
        waiting = [asyncio.ensure_future(queue.enter(connection(number), 1.0)) for number in range(2)]
        await asyncio.sleep(0)
        # Given up in the same moment in which the place becomes free, and while it waits.
        waiting[0].cancel()
        queue.leave(blocker, 0.0)
        busy = await waiting[1]
        late = asyncio.ensure_future(queue.enter(connection("late"), 1.0))
        await asyncio.sleep(0)
        late.cancel()
        for given_up in (waiting[0], late):
            with contextlib.suppress(asyncio.CancelledError):
                await given_up
        queue.leave(busy, 0.0)
        # All three places of the room are free again.
        first = await queue.enter(connection("first"), 1.0)
        others = [asyncio.ensure_future(queue.enter(connection(name), 1.0)) for name in "xy"]
        await asyncio.sleep(0)
        queue.leave(first, 1.0)
        for other in others:
            queue.leave(await other, 1.0)
        return queue

    queue = asyncio.run(scenario())
    assert not queue._waiting
    assert not queue._present
    assert queue._working == 0


def test_a_place_that_is_granted_to_who_has_just_given_up_goes_on():
    async def scenario():
        queue = FairQueue(1, 3)
        blocker = await queue.enter(BLOCKER, 0.0)
        waiting = [asyncio.ensure_future(queue.enter(connection(number), 1.0)) for number in range(2)]
        await asyncio.sleep(0)
        queue.leave(blocker, 0.0)
        waiting[0].cancel()
        queue.leave(await waiting[1], 0.0)
        return queue._working

    assert asyncio.run(scenario()) == 0


def test_connections_of_the_past_are_forgotten(monkeypatch):
    monkeypatch.setattr(fair_queue, "FEW_CONNECTIONS", 10)

    async def scenario():
        queue = FairQueue(1, 10)
        for number in range(500):
            queue.leave(await queue.enter(connection(number), 1.0), 1.0)
        return queue

    assert len(asyncio.run(scenario())._last_tags) < 1050
