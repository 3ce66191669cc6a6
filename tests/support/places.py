"""Where things of the repository are, and how programs among the tests are run."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
ARCHIVES = TESTS / "archives"

WITH_TESTS = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))}
"""The environment in which a program of the tests finds their modules."""


def program(name: str) -> list[str]:
    """The command that runs a module of the tests, such as ``support.four_replicas``, in ``WITH_TESTS``."""
    return [sys.executable, "-m", name]
