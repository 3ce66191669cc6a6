"""Paths in the repository, and how to run programs that belong to the tests."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
ARCHIVES = TESTS / "archives"

WITH_TESTS = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))}
"""An environment in which programs of the tests find the tests' modules."""


def program(name: str) -> list[str]:
    """Return the command that runs a module of the tests, such as ``support.four_replicas``, in ``WITH_TESTS``."""
    return [sys.executable, "-m", name]
