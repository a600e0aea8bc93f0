"""Addresses of the Django site. What is beside it is in asgi.py."""

from auction import views
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from microasgi.django import bridge

urlpatterns = [
    path("", views.home, name="home"),
    path("lots/<int:number>/", views.lot, name="lot"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("reports/", bridge("auction.reports:app")),
    path("favicon.ico", views.icon),  # the admin has none of its own
    path("admin/", admin.site.urls),
]
