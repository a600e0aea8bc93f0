"""The app's configuration."""

from django.apps import AppConfig


class AuctionConfig(AppConfig):
    """The auction; its signals are heard from the beginning on."""

    name = "auction"

    def ready(self) -> None:
        """Hear of every lot and bid that is saved, whoever saves it."""
        from auction import signals  # noqa: F401
