"""What everybody may know of a lot: the API gives it, live pages are told it, templates show it."""

from dataclasses import dataclass
from datetime import datetime

from auction.models import Lot


@dataclass(frozen=True)
class ShownLot:
    """A lot, in euros. Of two with one id the higher version is the newer."""

    id: int
    version: int
    title: str
    kind: str
    state: str
    closes: datetime
    price: int
    least: int
    bids: int
    leader: str | None

    @classmethod
    def of(cls, lot: Lot) -> "ShownLot":
        """Take it from a lot `with_bids()`."""
        price = lot.top or lot.start
        least = price + max(1, price // 20) if lot.top else price
        return cls(lot.pk, lot.version, lot.title, lot.kind, lot.state, lot.closes, price, least, lot.count, lot.leader)


def read(number: int) -> ShownLot | None:
    """Read a lot; None if there is none."""
    lot = Lot.objects.with_bids().filter(pk=number).first()
    return lot and ShownLot.of(lot)
