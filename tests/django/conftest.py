"""A real Django project, set up once: the database is a file of this run, and of nobody else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("django", reason="needs Django: pip install 'microasgi[django]'")
os.environ.setdefault("PROJECT_DATABASE", str(Path(tempfile.mkdtemp(prefix="microasgi-django-")) / "project.sqlite3"))
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.project.settings"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Django runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def project() -> Iterator[None]:
    """The project, set up, its tables made."""
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # notes has no migrations, and refers to users
    yield
    connections.close_all()
    path = Path(os.environ["PROJECT_DATABASE"])
    path.unlink(missing_ok=True)
