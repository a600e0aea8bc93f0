"""A small Django project that all tests of the room share."""
