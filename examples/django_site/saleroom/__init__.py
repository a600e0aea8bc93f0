"""The project: settings, addresses, and the way in."""
