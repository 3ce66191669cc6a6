"""Packages that only some of the work needs; each is installed as one of our extras."""

import importlib.util

from xanes_hpc.errors import ConfigError


def need(package: str, extra: str, what: str) -> None:
    """Raise an error that says how to install a package if it is missing.

    Parameters
    ----------
    package
        The name Python imports it by.
    extra
        Our extra that installs it.
    what
        The work that needs it; the error begins with it.

    Raises
    ------
    ConfigError
        If the package is not installed.

    Examples
    --------
    >>> need("numpy", "base", "arithmetic")
    >>> need("no_such_package", "dask", "a Dask cluster")
    Traceback (most recent call last):
        ...
    xanes_hpc.errors.ConfigError: a Dask cluster needs no_such_package, which is not installed: \
pip install 'xanes-hpc[dask]'
    """
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"{what} needs {package}, which is not installed: pip install 'xanes-hpc[{extra}]'")
