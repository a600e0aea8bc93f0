"""What a server imports for `wire.py`: the application of one target and case, named by the environment."""

import os

from cases import CASES
from worker import build

app = build(os.environ["BENCHMARK_TARGET"], CASES[os.environ["BENCHMARK_CASE"]])
