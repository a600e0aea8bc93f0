"""The sale: bids that come at the same time come one after the other, and what is due is sold once."""

from django.contrib.auth.models import AbstractBaseUser
from django.core.mail import send_mail
from django.utils import timezone

from auction.hub import hub, notices_of
from auction.models import Bid, Lot
from auction.shown import ShownLot, read
from microasgi import HTTPException
from microasgi.django import atomic, publish_on_commit


class BidRefused(HTTPException):
    """The lot is not open any more, or somebody has bid as much."""

    status_code = 409

    def __init__(self, detail: str) -> None:
        super().__init__(409, detail)


@atomic
def place_bid(number: int, bidder: AbstractBaseUser, amount: int) -> tuple[ShownLot, Bid | None]:
    """Bid for a lot. Return it, and the bid that was the highest before."""
    lot = Lot.objects.select_for_update().filter(pk=number).first()  # who comes now waits here
    if lot is None:
        raise HTTPException(404, f"There is no lot {number}.")
    if lot.state != Lot.State.OPEN or lot.closes <= timezone.now():
        raise BidRefused("This lot is closed.")
    least = read(number).least
    if amount < least:
        raise BidRefused(f"Somebody was faster: bid at least {least} euros.")
    before = lot.bids.select_related("bidder").first()
    Bid.objects.create(lot=lot, bidder=bidder, amount=amount)
    if before and before.bidder_id != bidder.pk:
        notice = {"type": "outbid", "lot": number, "title": lot.title, "price": amount}
        publish_on_commit(hub, notices_of(before.bidder_id), notice)
    return read(number), before


@atomic
def close_due() -> int:
    """Sell lots whose time is up to who has bid most. Return how many there were."""
    due = Lot.objects.select_for_update(skip_locked=True).filter(state=Lot.State.OPEN, closes__lte=timezone.now())
    lots = list(due)
    for lot in lots:
        lot.state = Lot.State.SOLD if lot.bids.exists() else Lot.State.PASSED
        lot.save(update_fields=["state"])
    return len(lots)


def mail_outbid(before: Bid, lot: ShownLot) -> None:
    """Tell who has bid most until now that somebody has bid more."""
    text = f"Somebody bids {lot.price} euros for “{lot.title}”. You can bid {lot.least} euros or more."
    if before.bidder.email:
        send_mail("You were outbid", text, None, [before.bidder.email])
