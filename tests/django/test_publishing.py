"""Publishing with the transaction: after the commit, never after a rollback, from signals too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.db.models.signals import post_save
from django.test import TestCase, TransactionTestCase

from microasgi.django.publishing import publish_on_commit
from microasgi.realtime import Hub
from tests.django.loaded import Note


class Outbox:
    """A hub that keeps what is published, with the number of notes that a reader would find."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def publish_sync(self, group: str, message: Any, /) -> int:
        self.sent.append((group, message))
        return 0


class BrokenHub:
    def publish_sync(self, group: str, message: Any, /) -> int:
        raise ConnectionError("no Redis")


@pytest.fixture(autouse=True)
def no_notes() -> Iterator[None]:
    yield
    Note.objects.all().delete()


def test_a_message_leaves_when_the_transaction_is_committed() -> None:
    outbox = Outbox()
    with transaction.atomic():
        note = Note.objects.create(text="a")
        publish_on_commit(outbox, "notes", {"id": note.pk})
        assert outbox.sent == []
    assert outbox.sent == [("notes", {"id": note.pk})]


def test_a_message_of_a_transaction_that_was_rolled_back_is_never_sent() -> None:
    outbox = Outbox()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish_on_commit(outbox, "notes", "a")
        raise ZeroDivisionError
    with transaction.atomic():
        publish_on_commit(outbox, "notes", "b")
    assert outbox.sent == [("notes", "b")]


def test_a_savepoint_that_was_rolled_back_takes_its_messages_along() -> None:
    outbox = Outbox()
    with transaction.atomic():
        publish_on_commit(outbox, "notes", "kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish_on_commit(outbox, "notes", "dropped")
            raise ZeroDivisionError
    assert outbox.sent == [("notes", "kept")]


def test_without_a_transaction_a_message_leaves_at_once() -> None:
    outbox = Outbox()
    publish_on_commit(outbox, "notes", "a")
    assert outbox.sent == [("notes", "a")]


def test_a_signal_publishes_what_is_committed() -> None:
    outbox = Outbox()

    def tell(sender: type[Note], instance: Note, **_: Any) -> None:
        publish_on_commit(outbox, "notes", instance.text)

    post_save.connect(tell, sender=Note)
    try:
        with transaction.atomic():
            Note.objects.create(text="a")
            Note.objects.create(text="b")
            assert outbox.sent == []
    finally:
        post_save.disconnect(tell, sender=Note)
    assert outbox.sent == [("notes", "a"), ("notes", "b")]


def test_a_hub_that_cannot_be_reached_does_not_fail_the_caller_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="microasgi.django"), transaction.atomic():
        publish_on_commit(BrokenHub(), "notes", "a")
        publish_on_commit(outbox := Outbox(), "notes", "b")
    assert outbox.sent == [("notes", "b")]
    (record,) = caplog.records
    assert "'notes' was not published" in record.getMessage()
    assert record.exc_info
    assert isinstance(record.exc_info[1], ConnectionError)


@pytest.mark.anyio
async def test_a_member_of_the_hub_hears_of_a_row_written_in_a_thread() -> None:
    from asgiref.sync import sync_to_async

    hub = Hub()

    def write() -> int:
        with transaction.atomic():
            note = Note.objects.create(text="a")
            publish_on_commit(hub, "notes", {"id": note.pk})
            return note.pk

    async with hub.lifespan(), hub.subscribe("notes") as messages:
        pk = await sync_to_async(write)()
        message = await anext(aiter(messages))
    assert message == {"id": pk}
    await Note.objects.all().adelete()


class InATestCase(TestCase):
    def test_messages_are_sent_by_captured_callbacks(self) -> None:
        outbox = Outbox()
        with self.captureOnCommitCallbacks(execute=True):
            publish_on_commit(outbox, "notes", "a")
            assert outbox.sent == []
        assert outbox.sent == [("notes", "a")]

    def test_messages_are_not_sent_otherwise(self) -> None:
        outbox = Outbox()
        publish_on_commit(outbox, "notes", "a")
        assert outbox.sent == []


class InATransactionTestCase(TransactionTestCase):
    def test_messages_are_sent(self) -> None:
        outbox = Outbox()
        with transaction.atomic():
            publish_on_commit(outbox, "notes", "a")
        assert outbox.sent == [("notes", "a")]
