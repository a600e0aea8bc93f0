"""Django both ways: beside a Django site, inside its URLconf, or around it.

Importing this neither needs nor touches the project's settings.
"""

from __future__ import annotations

__all__: list[str] = []
