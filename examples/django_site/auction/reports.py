"""Reports for the office, inside the URLconf: an application in the midst of Django's middleware, as a view is."""

import csv
from collections.abc import AsyncIterator
from io import StringIO

from auction.models import Bid
from microasgi import MicroASGI, Request, StreamingResponse
from microasgi.django import permission_required

app = MicroASGI()


@app.get("/bids.csv")
@permission_required("auction.view_bid")
async def bids(request: Request) -> StreamingResponse:
    """Send all bids, row by row: however many there are, they are never in memory at once."""
    headers = {"content-disposition": 'attachment; filename="bids.csv"'}
    return StreamingResponse(rows(), media_type="text/csv", headers=headers)


async def rows() -> AsyncIterator[str]:
    yield line("lot", "title", "bidder", "euros", "at")
    async for bid in Bid.objects.select_related("lot", "bidder").order_by("pk").aiterator(chunk_size=500):
        yield line(bid.lot_id, bid.lot.title, bid.bidder.username, bid.amount, bid.at.isoformat())


def line(*cells: object) -> str:
    buffer = StringIO()
    # A cell that begins like this is a formula to a spreadsheet, and titles and names are typed in by people.
    csv.writer(buffer).writerow([f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in cells])
    return buffer.getvalue()
