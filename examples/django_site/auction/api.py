"""The API, described at /api/docs. Who may do what, Django's users and their permissions say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from auction.models import Lot
from auction.sale import BidRefused, mail_outbid, place_bid
from auction.shown import ShownLot
from microasgi import BackgroundTasks, HTTPException, MicroASGI, Request
from microasgi.django import atomic, current_user, db, permission
from microasgi.openapi import OpenAPI
from microasgi.typed import Depends, Path, Query

MOST = 2_000_000_000  # what the database's column takes

app = MicroASGI(max_body_size=16 * 1024)
app.include(OpenAPI(title="Saleroom", version="1.0", description="Lots, and what is bid for them."))

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
Euros = Annotated[int, Meta(ge=1, le=MOST)]
Title = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
Text = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]
Kind = Literal["clock", "painting", "chair", "vase", "book", "lamp"]


@dataclass
class NewLot:
    """What a lot is made of."""

    title: Title
    start: Euros
    closes: Moment
    kind: Kind = "vase"
    description: Text = ""

    def __post_init__(self) -> None:
        check_moment(self.closes)


class LotChange(Struct, forbid_unknown_fields=True):
    """What is to be another; what is left out stays."""

    title: Title | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    closes: Moment | UnsetType = UNSET
    state: Literal["open", "withdrawn"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.closes is not UNSET:
            check_moment(self.closes)


def check_moment(closes: datetime) -> None:
    """Refuse what another time zone has no date for, with 422: a ValueError of a model is the client's."""
    if not 2000 <= closes.year < 3000:
        raise ValueError("closes in a year from 2000 to 2999")


@dataclass
class Offer:
    """A bid."""

    amount: Euros


@app.get("/lots")
async def list_lots(
    state: Annotated[Literal["open", "sold", "passed", "withdrawn"] | None, Query()] = None,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="The last id of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[ShownLot]:
    """List lots."""
    lots = Lot.objects.with_bids().filter(pk__gt=after).order_by("pk")
    if state is not None:
        lots = lots.filter(state=state)
    return [ShownLot.of(lot) async for lot in lots[:limit]]


@app.get("/lots/{number}", raises=[404])
async def get_lot(number: Number) -> ShownLot:
    """Show a lot."""
    lot = await Lot.objects.with_bids().filter(pk=number).afirst()
    if lot is None:
        raise HTTPException(404, f"There is no lot {number}.")
    return ShownLot.of(lot)


@app.post("/lots", status=201, raises=[401, 403])
async def add_lot(
    new: NewLot, request: Request, user: Annotated[Any, Depends(permission("auction.add_lot"))]
) -> tuple[ShownLot, int, dict[str, str]]:
    """Add a lot."""
    lot = Lot(title=new.title, start=new.start, closes=new.closes, kind=new.kind, description=new.description)
    await lot.asave()
    return await get_lot(lot.pk), 201, {"location": str(request.url_path_for("get_lot", number=lot.pk))}


@app.patch("/lots/{number}", raises=[401, 403, 404])
async def change_lot(
    number: Number, change: LotChange, user: Annotated[Any, Depends(permission("auction.change_lot"))]
) -> ShownLot:
    """Change a lot: extend it, withdraw it, open it again."""
    await db(save_change, number, change)
    return await get_lot(number)


@app.post("/lots/{number}/bids", status=201, raises=[401, 404, BidRefused])
async def bid(
    number: Number, offer: Offer, user: Annotated[Any, Depends(current_user)], tasks: BackgroundTasks
) -> ShownLot:
    """Bid for a lot."""
    lot, before = await db(place_bid, number, user, offer.amount)
    if before is not None and before.bidder_id != user.pk:
        tasks.add_task(mail_outbid, before, lot)
    return lot


@atomic
def save_change(number: int, change: LotChange) -> None:
    lot = Lot.objects.select_for_update().filter(pk=number).first()
    if lot is None:
        raise HTTPException(404, f"There is no lot {number}.")
    changed = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    for name, value in changed.items():
        setattr(lot, name, value)
    if changed:
        lot.save(update_fields=changed)
