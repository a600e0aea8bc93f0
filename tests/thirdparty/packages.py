"""Whether a package that is not ours is there: without it a module of tests is left out, except on CI."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

__all__ = ["require"]


def require(*modules: str) -> None:
    """Leave out the calling module of tests if one of these cannot be imported; on CI, fail."""
    missing = [name for name in modules if find_spec(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)} (pip install --group thirdparty)"
    if os.environ.get("CI") == "true":
        raise ImportError(f"CI must run these tests: {reason}")
    pytest.skip(reason, allow_module_level=True)
