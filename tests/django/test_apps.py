"""The room as an application of Django: its label, its checks, its tag and its command are there, and no models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.apps import AppConfig

ROOT = Path(__file__).parents[2]


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_it_is_installed_by_its_package_name() -> None:
    assert (
        run(
            """
from django.conf import settings
settings.configure(INSTALLED_APPS=["microasgi.django"])
import django
django.setup()
from django.apps import apps
from django.core.checks.registry import registry
from django.core.management import get_commands
config = apps.get_app_config("microasgi")
print(config.name, list(config.get_models()), get_commands()["microasgi"])
print(sorted(check.__name__ for check in registry.get_checks() if "microasgi" in check.tags)[:2])
"""
        )
        == "microasgi.django [] microasgi.django\n['check_application', 'check_atomic_requests']"
    )


def test_importing_the_room_needs_no_settings() -> None:
    assert run("import microasgi.django; from django.conf import settings; print(settings.configured)") == "False"


def test_the_config_is_djangos() -> None:
    from microasgi.django.apps import MicroasgiConfig

    assert issubclass(MicroasgiConfig, AppConfig)
    assert MicroasgiConfig.label == "microasgi"
