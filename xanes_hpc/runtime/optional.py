"""Packages that only some of the work needs, and that are installed as an extra of ours."""

import importlib.util

from xanes_hpc.errors import ConfigError


def need(package: str, extra: str, what: str) -> None:
    """Say how a package is installed where it is missing.

    Parameters
    ----------
    package
        Its name in Python.
    extra
        The extra of ours that installs it.
    what
        What needs it.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"{what} needs {package}, which is not installed: pip install 'xanes-hpc[{extra}]'")
