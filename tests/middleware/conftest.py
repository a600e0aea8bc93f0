"""What the tests of the middleware share."""

from tests.redis_server import redis_url

__all__ = ["redis_url"]
