"""The hub in memory: who gets what, what a full queue does, what is kept, and what is left behind: nothing."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import ConfigurationError, MicroASGI
from microasgi.realtime import Delivery, Gap, Hub, SlowReader, Subscription
from microasgi.testing import TestClient
from tests.realtime.reading import take

pytestmark = pytest.mark.anyio


async def rest(subscription: Subscription) -> list[Any]:
    """Return what is in the queue."""
    return await take(subscription, subscription.queued)


async def test_every_member_of_a_group_gets_a_message_and_publish_counts_them() -> None:
    hub = Hub()
    async with hub.subscribe("a") as first, hub.subscribe("a", "b") as second, hub.subscribe("b") as other:
        assert await hub.publish("a", {"n": 1}) == 2
        assert await hub.publish("nobody", 1) == 0
        assert await take(first, 1) == [{"n": 1}]
        assert await take(second, 1) == [{"n": 1}]
        assert other.queued == 0


@pytest.mark.parametrize("message", [None, True, 0, 1.5, "", "é", [], {}, {"a": [1, {"b": None}]}, b"", b"\xff\x00"])
async def test_what_json_holds_and_bytes_arrive_as_they_were(message: Any) -> None:
    hub = Hub()
    async with hub.subscribe("a") as member:
        await hub.publish("a", message)
        assert await take(member, 1) == [message]


async def test_a_message_is_what_it_was_when_it_was_published() -> None:
    hub, message = Hub(), {"list": [1]}
    async with hub.subscribe("a") as member:
        await hub.publish("a", message)
        message["list"].append(2)
        assert await take(member, 1) == [{"list": [1]}]


@pytest.mark.parametrize("message", [object(), {"a": object()}, float("nan"), lambda: None])
async def test_what_cannot_be_carried_is_refused_where_it_is_published(message: Any) -> None:
    hub = Hub()
    async with hub.subscribe("a") as member:
        with pytest.raises((TypeError, ValueError)):
            await hub.publish("a", message)
        assert member.queued == 0


async def test_a_message_above_the_limit_is_refused() -> None:
    hub = Hub(max_message_size=10)
    assert await hub.publish("a", "x" * 8) == 0
    for message in ("x" * 9, b"x" * 11):
        with pytest.raises(ValueError, match="max_message_size"):
            await hub.publish("a", message)


@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
async def test_a_group_has_any_text_as_its_name(name: str) -> None:
    hub = Hub()
    async with hub.subscribe(name) as member:
        assert await hub.publish(name, name) == 1
        assert await take(member, 1) == [name]
    assert hub.metrics()["groups"] == 0


async def test_a_group_is_no_number_and_no_lone_surrogate() -> None:
    hub = Hub()
    with pytest.raises(TypeError, match="str"):
        await hub.publish(7, "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        hub.subscribe("\ud800")


async def test_messages_of_one_publisher_arrive_in_order() -> None:
    hub = Hub()
    async with hub.subscribe("a", "b") as member:
        for number in range(50):
            await hub.publish("ab"[number % 2], number)
        assert await take(member, 50) == list(range(50))


async def test_a_reader_is_woken() -> None:
    hub, got = Hub(), []
    async with hub.subscribe("a") as member, anyio.create_task_group() as group:

        async def read() -> None:
            got.extend(await take(member, 2))

        group.start_soon(read)
        for word in ("x", "y"):
            await anyio.wait_all_tasks_blocked()
            await hub.publish("a", word)
    assert got == ["x", "y"]


async def test_groups_are_joined_and_left_while_reading() -> None:
    hub = Hub()
    async with hub.subscribe() as member:
        assert await hub.publish("a", 1) == 0
        await member.join("a", "b")
        await member.join("a")
        assert member.groups == ("a", "b")
        assert await hub.publish("a", 2) == 1
        member.leave("a", "never")
        assert await hub.publish("a", 3) == 0
        assert await rest(member) == [2]


async def test_a_group_that_is_given_twice_is_joined_once() -> None:
    hub = Hub()
    async with hub.subscribe("a", "a") as member:
        await hub.publish("a", 1)
        assert await rest(member) == [1]


async def test_a_full_queue_drops_the_oldest() -> None:
    hub = Hub()
    async with hub.subscribe("a", max_queue=3) as member:
        assert [await hub.publish("a", number) for number in range(5)] == [1] * 5
        assert member.dropped == 2
        assert member.queued == 3
        assert await rest(member) == [2, 3, 4]
    assert hub.metrics()["dropped"] == 2


async def test_a_full_queue_drops_the_newest() -> None:
    hub = Hub()
    async with hub.subscribe("a", max_queue=3, overflow="drop_newest") as member:
        assert [await hub.publish("a", number) for number in range(5)] == [1, 1, 1, 0, 0]
        assert member.dropped == 2
        assert await rest(member) == [0, 1, 2]
        assert await hub.publish("a", 5) == 1
    assert hub.metrics()["dropped"] == 2
    assert hub.metrics()["delivered"] == 4


async def test_a_full_queue_ends_the_subscription() -> None:
    hub = Hub()
    async with hub.subscribe("a", max_queue=3, overflow="close") as member, hub.subscribe("a") as other:
        assert [await hub.publish("a", number) for number in range(5)] == [2, 2, 2, 1, 1]
        with pytest.raises(SlowReader, match="3 messages") as caught:
            await take(member, 1)
        assert caught.value.code == 1013
        assert member.dropped == 4
        assert await rest(other) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("options", [{"overflow": "block"}, {"max_queue": 0}])
async def test_a_policy_that_is_none_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Hub().subscribe("a", **options)


async def test_leaving_the_block_leaves_the_groups_and_ends_the_iteration() -> None:
    hub = Hub()
    async with hub.subscribe("a") as member:
        await hub.publish("a", 1)
    assert await hub.publish("a", 2) == 0
    assert [message async for message in member] == [1]
    assert hub.metrics()["members"] == 0
    with pytest.raises(RuntimeError, match="inside"):
        await member.join("b")


async def test_a_subscription_is_read_inside_of_its_block() -> None:
    member = Hub().subscribe("a")
    with pytest.raises(RuntimeError, match="async with"):
        await anext(member.__aiter__())
    with pytest.raises(RuntimeError, match="async with"):
        await member.join("b")


async def test_a_subscription_is_entered_once() -> None:
    member = Hub().subscribe("a")
    async with member:
        with pytest.raises(RuntimeError, match="before"):
            await member.__aenter__()


async def test_two_tasks_cannot_read_one_subscription() -> None:
    async with Hub().subscribe("a") as member, anyio.create_task_group() as group:
        group.start_soon(take, member, 1)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(member.__aiter__())
        group.cancel_scope.cancel()


async def test_a_cancelled_reader_loses_nothing() -> None:
    hub = Hub()
    async with hub.subscribe("a") as member:
        with anyio.move_on_after(0.01):
            await take(member, 1)
        await hub.publish("a", 1)
        assert await take(member, 1) == [1]


async def test_deliveries_tell_group_and_id_and_hold_the_json_once() -> None:
    hub = Hub()
    async with hub.subscribe("a") as first, hub.subscribe("a") as second:
        await hub.publish("a", {"é": 1})
        (one,) = await take(first.deliveries(), 1)
        (other,) = await take(second.deliveries(), 1)
    assert isinstance(one, Delivery)
    assert one is other
    assert (one.group, one.text, one.data) == ("a", '{"é":1}', {"é": 1})
    assert one.id


async def test_a_hub_counts_members_and_shows_their_infos() -> None:
    hub = Hub()
    async with hub.subscribe("a", info={"name": "Ada"}), hub.subscribe("a", "b"):
        assert await hub.count("a") == 2
        assert await hub.count("b") == 1
        assert await hub.members("a") == [{"name": "Ada"}, None]
    assert await hub.count("a") == 0
    assert await hub.members("a") == []


async def test_the_last_messages_come_first_to_who_asks() -> None:
    hub = Hub(replay=3)
    for number in range(5):
        await hub.publish("a", number)
    async with hub.subscribe("a", replay=2) as two, hub.subscribe("a", replay=10) as all_kept, hub.subscribe("a") as no:
        await hub.publish("a", 5)
        assert await rest(two) == [3, 4, 5]
        assert await rest(all_kept) == [2, 3, 4, 5]
        assert await rest(no) == [5]


async def ids(hub: Hub, *groups: str, number: int) -> list[str]:
    """Publish numbers to these groups in turn, and return the ids of the messages."""
    async with hub.subscribe(*groups, max_queue=number) as member:
        for n in range(number):
            await hub.publish(groups[n % len(groups)], n)
        return [item.id for item in await take(member.deliveries(), number)]


async def test_who_comes_back_gets_what_was_published_since() -> None:
    hub = Hub(replay=10)
    names = await ids(hub, "a", "b", number=6)
    async with hub.subscribe("a", "b", since=names[2]) as member:
        assert await rest(member) == [3, 4, 5]
    async with hub.subscribe("b", since=names[2]) as member:
        assert await rest(member) == [3, 5]
    async with hub.subscribe("a", since=names[-1]) as member:
        assert await rest(member) == []


async def test_who_was_away_for_too_long_is_told_of_the_gap() -> None:
    hub = Hub(replay=3)
    names = await ids(hub, "a", number=6)
    async with hub.subscribe("a", "b", since=names[1]) as member:
        assert await rest(member) == [Gap(("a",)), 3, 4, 5]
    async with hub.subscribe("a", since=names[2]) as member:
        assert await rest(member) == [3, 4, 5]


@pytest.mark.parametrize("since", ["", "x", "00000000-1", "-", "é", "0" * 5000])
async def test_an_id_of_another_process_is_a_gap(since: str) -> None:
    hub = Hub(replay=3)
    await hub.publish("a", 1)
    async with hub.subscribe("a", since=since) as member:
        assert await rest(member) == [Gap(("a",)), 1]


async def test_an_id_of_the_future_is_a_gap() -> None:
    hub = Hub(replay=3)
    (name,) = await ids(hub, "a", number=1)
    async with hub.subscribe("a", since=name + "0") as member:
        assert await rest(member) == [Gap(("a",)), 0]


async def test_a_hub_that_keeps_nothing_says_so_by_a_gap() -> None:
    hub = Hub()
    names = await ids(hub, "a", number=2)
    async with hub.subscribe("a", since=names[0]) as member:
        assert await rest(member) == [Gap(("a",))]
    async with hub.subscribe("a", since=names[1]) as member:
        assert await rest(member) == []


async def test_a_publisher_that_never_rests_leaves_its_readers_their_turn() -> None:
    hub, got = Hub(), list[Any]()
    async with anyio.create_task_group() as group, hub.subscribe("a") as member:

        async def read() -> None:
            got.extend(await take(member, 1000))

        group.start_soon(read)
        for number in range(1000):
            await hub.publish("a", number)
    assert got == list(range(1000))


async def test_a_gap_is_kept_by_a_full_queue() -> None:
    hub = Hub()
    async with hub.subscribe("a", max_queue=2, since="of another life") as member:
        for number in range(5):
            await hub.publish("a", number)
        got = await rest(member)
    assert got[0] == Gap(("a",))
    assert got[-1] == 4
    assert len(got) <= 3


async def test_a_thread_publishes_without_a_loop() -> None:
    hub = Hub(replay=5)
    async with hub.subscribe("a") as member:
        assert await anyio.to_thread.run_sync(hub.publish_sync, "a", 1) == 1
        assert await take(member, 1) == [1]
        assert hub.metrics()["delivered"] == 1


async def test_publish_sync_is_refused_on_the_loop() -> None:
    with pytest.raises(RuntimeError, match=r"await hub\.publish"):
        Hub().publish_sync("a", 1)


async def test_no_message_is_lost_or_doubled_between_history_and_threads() -> None:
    hub, most = Hub(replay=2000), 2000

    def publish() -> None:
        for number in range(most):
            hub.publish_sync("a", number)

    async with hub.subscribe("a"):  # so that the thread has a loop to hand messages to
        thread = threading.Thread(target=publish)
        thread.start()
        await anyio.sleep(0.01)
        async with hub.subscribe("a", replay=most, max_queue=most) as member:
            assert await take(member, most) == list(range(most))
            await anyio.sleep(0.01)
            assert member.queued == 0
        thread.join()


async def test_the_end_of_the_lifespan_ends_subscriptions() -> None:
    hub, got = Hub(), list[Any]()

    async def read() -> None:
        async with hub.subscribe("a") as member:
            got.extend([message async for message in member])
        got.append("end")

    async with anyio.create_task_group() as group:
        async with hub.lifespan():
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await hub.publish("a", 1)
    assert got == [1, "end"]


def test_a_hub_joins_an_application_and_serves_its_threads() -> None:
    hub = Hub()
    app = MicroASGI()
    app.lifespan(hub.lifespan)

    @app.get("/wait")
    async def wait() -> Any:
        async with hub.subscribe("a") as member:
            app.tasks.start_soon(publish)
            return await anext(aiter(member))

    def publish() -> None:
        hub.publish_sync("a", {"from": "thread"})

    with TestClient(app) as client:
        assert client.get("/wait").json() == {"from": "thread"}


async def test_the_subscriptions_of_a_loop_that_has_died_are_forgotten() -> None:
    hub = Hub()

    async def enter() -> None:
        await hub.subscribe("a").__aenter__()

    thread = threading.Thread(target=anyio.run, args=(enter,))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert await hub.publish("a", 1) == 0
    assert hub.metrics()["members"] == 0


async def test_a_message_reaches_the_members_of_every_loop() -> None:
    hub, ready, got = Hub(), threading.Event(), []

    async def read() -> None:
        async with hub.subscribe("a") as member:
            ready.set()
            got.extend(await take(member, 1))

    thread = threading.Thread(target=anyio.run, args=(read,))
    thread.start()
    await anyio.to_thread.run_sync(ready.wait)
    async with hub.subscribe("a") as member:
        assert await hub.publish("a", "both") == 2
        assert await take(member, 1) == ["both"]
    await anyio.to_thread.run_sync(thread.join)
    assert got == ["both"]


@pytest.mark.parametrize("url", ["", "memory", "http://x", "rediss:/x"])
def test_a_url_that_names_no_backend_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Hub(url)


def test_a_negative_replay_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Hub(replay=-1)


async def test_history_is_kept_for_a_bounded_number_of_groups() -> None:
    from microasgi.realtime.history import History

    history = History(2, most_groups=3)
    names = []
    for number in range(5):
        place, name = history.name()
        history.keep(place, Delivery(f"g{number}", name, number))
        names.append(name)
    assert [item.data for item in history.past(["g4"], None, 5) if isinstance(item, Delivery)] == [4]
    assert history.past(["g0"], names[0], 0) == [Gap(("g0",))]
    assert history.past(["g0"], names[1], 0) == []
