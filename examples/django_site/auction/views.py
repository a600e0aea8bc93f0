"""Pages, by Django."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.views.decorators.cache import never_cache

from auction.models import Lot
from auction.shown import ShownLot


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Show all lots."""
    lots = [ShownLot.of(lot) for lot in Lot.objects.with_bids().order_by("closes", "pk")[:100]]
    return render(request, "auction/home.html", {"lots": lots})


@never_cache
def lot(request: HttpRequest, number: int) -> HttpResponse:
    """Show a lot, and a form to bid."""
    found = get_object_or_404(Lot.objects.with_bids(), pk=number)
    return render(request, "auction/lot.html", {"lot": ShownLot.of(found), "description": found.description})


def icon(request: HttpRequest) -> HttpResponse:
    """Lead to the icon, below whatever path the site is."""
    return redirect(static("auction/icon.svg"))
