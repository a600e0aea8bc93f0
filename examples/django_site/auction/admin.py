"""The office: lots and bids in Django's admin. Whoever looks sees at once what is saved here."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from auction.models import Bid, Lot

admin.site.site_header = admin.site.site_title = "Saleroom office"


class Bids(admin.TabularInline):
    """What was bid for a lot."""

    model = Bid
    extra = 0
    readonly_fields = ("bidder", "amount", "at")

    def has_add_permission(self, request: HttpRequest, obj: Lot | None = None) -> bool:
        """Bids are made on the page."""
        return False


@admin.register(Lot)
class LotAdmin(admin.ModelAdmin):
    """Lots with their bids."""

    list_display = ("title", "kind", "state", "start", "closes")
    list_filter = ("state", "kind")
    search_fields = ("title", "description")
    inlines = (Bids,)
    actions = ("withdraw",)

    @admin.action(description="Withdraw selected lots", permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Lot]) -> None:
        """Withdraw lots: one by one, since `update()` sends no signals."""
        for lot in queryset:
            lot.state = Lot.State.WITHDRAWN
            lot.save(update_fields=["state"])
