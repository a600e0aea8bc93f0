"""The command line as `python -m microasgi.cli`, for where the script is not on the PATH."""

import sys

from microasgi.cli.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
