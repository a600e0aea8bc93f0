"""Lots and bids."""

# ruff: noqa: RUF012 - as `makemigrations` writes it

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Lot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=100)),
                ("description", models.TextField(blank=True, max_length=2000)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("clock", "Clock"),
                            ("painting", "Painting"),
                            ("chair", "Chair"),
                            ("vase", "Vase"),
                            ("book", "Book"),
                            ("lamp", "Lamp"),
                        ],
                        default="vase",
                        max_length=10,
                    ),
                ),
                (
                    "start",
                    models.PositiveIntegerField(
                        help_text="In euros.",
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="starts at",
                    ),
                ),
                ("closes", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("sold", "Sold"), ("passed", "Passed"), ("withdrawn", "Withdrawn")],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
            ],
            options={
                "ordering": ("closes", "pk"),
            },
        ),
        migrations.CreateModel(
            name="Bid",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)])),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "bidder",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="bids", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "lot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="bids", to="auction.lot"
                    ),
                ),
            ],
            options={
                "ordering": ("-amount",),
                "constraints": [models.UniqueConstraint(fields=("lot", "amount"), name="nobody_bids_the_same")],
            },
        ),
    ]
