"""A model to read and write."""

from __future__ import annotations

from django.conf import settings
from django.db import models

__all__ = ["Note"]


class Note(models.Model):
    """A line of text, perhaps somebody's."""

    text = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.text
