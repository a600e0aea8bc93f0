"""What was saved is told when it is committed: by the API, the admin, a command, a shell."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from auction.hub import LOTS, hub
from auction.models import Bid, Lot
from auction.shown import read
from microasgi.django import publish_on_commit


@receiver(post_save, sender=Lot)
def tell_lot(instance: Lot, **kwargs: Any) -> None:
    """Tell what a lot is now."""
    publish_on_commit(hub, LOTS, {"type": "lot", "lot": read(instance.pk)})


@receiver([post_save, post_delete], sender=Bid)
def touch_lot(instance: Bid, **kwargs: Any) -> None:
    """Make a bid, or one that is taken back, a new version of its lot."""
    lot = Lot.objects.filter(pk=instance.lot_id).first()
    if lot is not None:
        lot.save(update_fields=["version"])


@receiver(post_delete, sender=Lot)
def tell_gone(instance: Lot, **kwargs: Any) -> None:
    """Tell that a lot is there no more."""
    publish_on_commit(hub, LOTS, {"type": "gone", "id": instance.pk})
