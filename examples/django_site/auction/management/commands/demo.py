"""`manage.py demo`: make the tables, three users and some lots, for a try-out."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from auction.models import Bid, Lot

PASSWORD = "saleroom"
LOTS = [  # kind, title, start, minutes, description
    ("clock", "Mantel clock, walnut", 180, 8, "Eight-day movement with a half-hour strike. Runs; the key is there."),
    ("painting", "Harbour at dusk, oil", 420, 35, "Signed lower left, in its frame. Relined in the seventies."),
    ("chair", "Reading chair, bentwood", 90, 60, "A pair to it was sold last spring. New cane in the seat."),
    ("vase", "Celadon vase", 260, 180, "Crackled glaze, a firing flaw at the foot, else without damage."),
    ("book", "A herbal in two volumes", 340, 1440, "Hand-coloured plates, complete. Rebound in half leather."),
    ("lamp", "Desk lamp, enamelled steel", 60, 4320, "Counterweight and original shade. Rewired."),
]


class Command(BaseCommand):
    """Make a saleroom to look at."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, then add what is not there yet."""
        if not settings.DEBUG:
            raise CommandError("the demo's passwords are known to everybody: it is made with DEBUG alone")
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        for name in ("ann", "ben", "office"):
            if not users.filter(username=name).exists():
                make = users.create_superuser if name == "office" else users.create_user
                make(name, f"{name}@example.org", PASSWORD)
        if not Lot.objects.exists():
            self.make_lots()
        self.stdout.write(f"ann, ben and office (the admin) have the password {PASSWORD!r}.")

    def make_lots(self) -> None:
        """Make lots; for some of them ann has bid."""
        ann = get_user_model().objects.get(username="ann")
        for kind, title, start, minutes, description in LOTS:
            closes = timezone.now() + timedelta(minutes=minutes)
            lot = Lot.objects.create(kind=kind, title=title, start=start, closes=closes, description=description)
            if minutes < 100:
                Bid.objects.create(lot=lot, bidder=ann, amount=start)
