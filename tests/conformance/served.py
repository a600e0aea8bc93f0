"""What the servers load: the application, with the framework's log going to its records and nowhere else."""

import logging

from tests.conformance.app import create_app, create_broken_app
from tests.conformance.records import Records

__all__ = ["app", "broken"]

_records = Records()
_logger = logging.getLogger("microasgi")
_logger.addHandler(_records)
_logger.propagate = False

app = create_app(_records)
broken = create_broken_app()
