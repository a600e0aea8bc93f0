"""Lots and bids. What a lot costs is what was bid for it: it is written down nowhere else."""

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Count, F, Max, OuterRef, Subquery
from django.urls import reverse


class LotQuerySet(models.QuerySet):
    """Lots."""

    def with_bids(self) -> "LotQuerySet":
        """Add what was bid: `top`, `count`, and the name of the `leader`."""
        highest = Bid.objects.filter(lot=OuterRef("pk")).order_by("-amount")
        return self.annotate(
            top=Max("bids__amount"), count=Count("bids"), leader=Subquery(highest.values("bidder__username")[:1])
        )


class Lot(models.Model):
    """Something that is sold to whoever bids most. `version` counts its changes, and those of its bids."""

    class State(models.TextChoices):
        """How far it is."""

        OPEN = "open"
        SOLD = "sold"
        PASSED = "passed"  # nobody has bid
        WITHDRAWN = "withdrawn"

    class Kind(models.TextChoices):
        """What it is, which is also its picture."""

        CLOCK = "clock"
        PAINTING = "painting"
        CHAIR = "chair"
        VASE = "vase"
        BOOK = "book"
        LAMP = "lamp"

    title = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.VASE)
    start = models.PositiveIntegerField("starts at", validators=[MinValueValidator(1)], help_text="In euros.")
    closes = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    version = models.PositiveIntegerField(default=0, editable=False)

    objects = LotQuerySet.as_manager()

    class Meta:
        ordering = ("closes", "pk")

    def __str__(self) -> str:
        return self.title

    def save(self, *args, **kwargs) -> None:
        """Save it as its next version."""
        if not self._state.adding:
            self.version = F("version") + 1  # the database counts: a page that was opened long ago does not
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "version"}
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("lot", args=[self.pk])


class Bid(models.Model):
    """What somebody wants to pay for a lot, in euros."""

    lot = models.ForeignKey(Lot, models.CASCADE, related_name="bids")
    bidder = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="bids")
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-amount",)
        constraints = (models.UniqueConstraint(fields=["lot", "amount"], name="nobody_bids_the_same"),)

    def __str__(self) -> str:
        return f"{self.amount} for {self.lot_id}"
