"""Optional packages, each installed by one of our extras."""

import importlib.util

from xanes_hpc.errors import ConfigError


def need(package: str, extra: str, what: str) -> None:
    """Check that a package is installed.

    Parameters
    ----------
    package
        Import name of the package.
    extra
        The extra of ours that installs it.
    what
        What needs the package; starts the error.

    Raises
    ------
    ConfigError
        If the package is not installed; says how to install it.

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
