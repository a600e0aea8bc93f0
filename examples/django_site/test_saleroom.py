"""The site without a server: `pytest`, or `python manage.py test test_saleroom`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from auction.models import Bid, Lot
from auction.sale import close_due
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import TestCase, override_settings
from django.utils import timezone

from microasgi import WebSocketDisconnect
from microasgi.django.testclient import DjangoTestClient
from microasgi.testing import WebSocketDenialResponse

NEW = {"title": "Chair", "start": 50, "closes": "2040-01-01T12:00:00Z", "kind": "chair"}


class Saleroom(TestCase):
    """Somebody with a lot to bid for."""

    def setUp(self) -> None:
        self.ann = User.objects.create_user("ann", "ann@example.org")
        self.ben = User.objects.create_user("ben", "ben@example.org")
        self.clerk = User.objects.create_user("clerk", is_staff=True)
        names = ["add_lot", "change_lot", "delete_lot", "view_lot", "view_bid"]
        self.clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
        self.lot = self.make_lot("Vase")
        self.client = self.enterContext(DjangoTestClient())

    def make_lot(self, title: str, minutes: float = 5, **options: Any) -> Lot:
        closes = timezone.now() + timedelta(minutes=minutes)
        return Lot.objects.create(title=title, start=100, closes=closes, **options)

    def bid(self, user: User, amount: Any) -> Any:
        """Bid as somebody; what is done on commit is done."""
        self.client.force_login(user)
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(f"/api/lots/{self.lot.pk}/bids", json={"amount": amount})


class BidTests(Saleroom):
    """Bids."""

    def test_a_bid_is_the_price(self) -> None:
        answer = self.bid(self.ann, 100)
        assert answer.status_code == 201
        lot = answer.json()
        assert (lot["price"], lot["least"], lot["bids"], lot["leader"]) == (100, 105, 1, "ann")

    def test_who_bids_too_little_is_told_what_is_enough(self) -> None:
        self.bid(self.ann, 200)
        answer = self.bid(self.ben, 205)
        assert answer.status_code == 409
        assert answer.json()["detail"] == "Somebody was faster: bid at least 210 euros."
        assert Bid.objects.count() == 1

    def test_who_was_outbid_gets_mail(self) -> None:
        self.bid(self.ann, 100)
        assert mail.outbox == []
        self.bid(self.ben, 120)
        assert [(one.to, one.subject) for one in mail.outbox] == [(["ann@example.org"], "You were outbid")]

    def test_visitors_and_wrong_amounts_are_refused(self) -> None:
        self.client.logout()
        assert self.client.post(f"/api/lots/{self.lot.pk}/bids", json={"amount": 100}).status_code == 401
        for amount in (0, -5, 2**40, 1.5, "100", None, [], True):
            assert self.bid(self.ann, amount).status_code == 422, amount
        assert self.bid(self.ann, 99).status_code == 409
        for path in ("/api/lots/999/bids", "/api/lots/99999999999999999999/bids", "/api/lots/x/bids"):
            assert self.client.post(path, json={"amount": 100}).status_code in (404, 422), path

    def test_a_closed_lot_takes_no_bids(self) -> None:
        for changes in ({"state": "withdrawn"}, {"closes": timezone.now()}):
            Lot.objects.filter(pk=self.lot.pk).update(**changes)
            assert self.bid(self.ann, 100).json()["detail"] == "This lot is closed."

    def test_a_page_of_another_site_cannot_bid(self) -> None:
        client = DjangoTestClient(enforce_csrf_checks=True)
        client.force_login(self.ann)
        answer = client.post(f"/api/lots/{self.lot.pk}/bids", json={"amount": 100})
        assert answer.status_code == 403
        assert "CSRF" in answer.text
        assert Bid.objects.count() == 0


class OfficeTests(Saleroom):
    """What the office does: by the API, in the admin, by the clock."""

    def test_those_who_may_add_and_change_lots(self) -> None:
        self.client.force_login(self.clerk)
        answer = self.client.post("/api/lots", json=NEW)
        assert (answer.status_code, answer.json()["least"]) == (201, 50)
        path = answer.headers["location"]
        assert self.client.get(path).json() == answer.json()
        changed = self.client.patch(path, json={"title": "Arm chair"}).json()
        assert changed == {**answer.json(), "title": "Arm chair", "version": 1}

    def test_nobody_else_may(self) -> None:
        for status in (401, 403):
            assert self.client.post("/api/lots", json=NEW).status_code == status
            assert self.client.patch(f"/api/lots/{self.lot.pk}", json={"title": "x"}).status_code == status
            self.client.force_login(self.ann)

    def test_what_is_wrong_with_a_lot_is_said(self) -> None:
        self.client.force_login(self.clerk)
        path = f"/api/lots/{self.lot.pk}"
        for name, value in [("title", " "), ("title", "a\0"), ("title", "x" * 101), ("kind", "car"), ("price", 1)]:
            change = {name: value}
            assert self.client.patch(path, json=change).status_code == 422, change
        assert self.client.patch("/api/lots/999", json={"title": "x"}).status_code == 404
        for closes in ("soon", "2040-01-01T12:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            assert self.client.post("/api/lots", json={**NEW, "closes": closes}).status_code == 422, closes
            assert self.client.patch(path, json={"closes": closes}).status_code == 422, closes

    def test_what_is_due_is_sold_once(self) -> None:
        self.make_lot("Passed", -1)
        Bid.objects.create(lot=self.make_lot("Sold", -1), bidder=self.ann, amount=100)
        assert (close_due(), close_due()) == (2, 0)
        states = dict(Lot.objects.values_list("title", "state"))
        assert states == {"Vase": "open", "Sold": "sold", "Passed": "passed"}

    def test_the_report_is_streamed_to_the_office_alone(self) -> None:
        self.lot.title = "=1+1"
        self.lot.save()
        self.bid(self.ann, 100)
        assert self.client.get("/reports/bids.csv").status_code == 403
        self.client.force_login(self.clerk)
        answer = self.client.get("/reports/bids.csv")
        assert answer.text.splitlines()[1].split(",")[1:4] == ["'=1+1", "ann", "100"]
        # Django's middleware is around it.
        assert "default-src 'none'" in answer.headers["content-security-policy"]


class LiveTests(Saleroom):
    """What those who look are told."""

    def test_a_bid_reaches_everybody_and_a_notice_one(self) -> None:
        self.bid(self.ann, 100)
        with self.client.websocket_connect("/live/socket") as anns:
            self.client.force_login(self.ben)
            with self.client.websocket_connect("/live/socket") as bens:
                self.bid(self.ben, 150)
                told = bens.receive_json()
                assert (told["type"], told["lot"]["price"], told["lot"]["leader"]) == ("lot", 150, "ben")
            assert anns.receive_json() == told
            assert anns.receive_json() == {"type": "outbid", "lot": self.lot.pk, "title": "Vase", "price": 150}

    def test_what_the_admin_saves_is_told(self) -> None:
        form = {"title": "Ming vase", "kind": "vase", "start": 100, "state": "open"}
        form |= {"closes_0": "2040-01-01", "closes_1": "12:00:00", "bids-TOTAL_FORMS": 0, "bids-INITIAL_FORMS": 0}
        self.client.force_login(self.clerk)
        with self.client.websocket_connect("/live/socket") as socket:
            with self.captureOnCommitCallbacks(execute=True):
                answer = self.client.post(
                    f"/admin/auction/lot/{self.lot.pk}/change/", data=form, follow_redirects=False
                )
            assert answer.status_code == 302
            told = socket.receive_json()["lot"]
            assert (told["title"], told["version"]) == ("Ming vase", 1)
            number = self.lot.pk
            with self.captureOnCommitCallbacks(execute=True):
                self.lot.delete()
            assert socket.receive_json() == {"type": "gone", "id": number}

    def test_the_same_comes_as_events(self) -> None:
        with self.client.stream("GET", "/live/events") as stream:
            lines = stream.iter_lines()
            with self.captureOnCommitCallbacks(execute=True):
                self.lot.title = "Urn"
                self.lot.save()
            data = next(line for line in lines if line.startswith("data:"))
        assert json.loads(data.removeprefix("data:"))["lot"]["title"] == "Urn"

    def test_what_is_rolled_back_is_not_told(self) -> None:
        with self.client.websocket_connect("/live/socket") as socket:
            self.bid(self.ann, 50)
            self.bid(self.ann, 100)
            assert socket.receive_json()["lot"]["price"] == 100

    @override_settings(REVALIDATE_EVERY=1.0)
    def test_who_logs_out_hears_no_more(self) -> None:
        self.client.force_login(self.ann)
        with self.client.websocket_connect("/live/socket") as socket:
            self.client.logout()
            with self.assertRaises(WebSocketDisconnect) as closed:  # noqa: PT027
                socket.receive_json()
        assert closed.exception.code == 4401

    def test_a_page_of_another_site_hears_nothing_of_a_user(self) -> None:
        self.client.force_login(self.ann)
        with self.assertRaises(WebSocketDenialResponse):  # noqa: PT027 - Django runs this, too
            self.client.websocket_connect("/live/socket", headers={"origin": "https://evil.example"}).__enter__()


class PageTests(Saleroom):
    """Pages."""

    def test_pages_show_what_is_there(self) -> None:
        self.lot.title = "<b>Vase</b>"
        self.lot.save()
        for path in ("/", f"/lots/{self.lot.pk}/"):
            answer = self.client.get(path)
            assert "&lt;b&gt;Vase" in answer.text
            assert "€ 100" in answer.text
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert self.client.get("/lots/999/").status_code == 404

    def test_the_api_is_described(self) -> None:
        paths = self.client.get("/api/openapi.json").json()["paths"]
        assert set(paths) == {"/lots", "/lots/{number}", "/lots/{number}/bids"}
        assert {"401", "403", "404", "422"} <= set(paths["/lots/{number}"]["patch"]["responses"])
        assert self.client.get("/api/docs").status_code == 200

    def test_who_logs_in_by_the_form_is_led_back(self) -> None:
        self.ann.set_password("saleroom")
        self.ann.save()
        form = {"username": "ann", "password": "saleroom", "next": "/lots/1/"}
        answer = self.client.post("/login/", data=form, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (302, "/lots/1/")
