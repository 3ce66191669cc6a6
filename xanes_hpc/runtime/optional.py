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
    need_all({package: extra}, what)


def need_all(extras: dict[str, str], what: str) -> None:
    """Check that several packages are installed, as ``need`` does for one.

    Parameters
    ----------
    extras
        The extra of each package.
    what
        What needs the packages; starts the error.

    Raises
    ------
    ConfigError
        If any is not installed; names all that are not.

    Examples
    --------
    >>> need_all({"numpy": "base", "no_such_package": "dask", "nor_this": "feff"}, "growing on a cluster")
    Traceback (most recent call last):
        ...
    xanes_hpc.errors.ConfigError: growing on a cluster needs no_such_package and nor_this, which are not installed: \
pip install 'xanes-hpc[dask,feff]'
    """
    missing = {package: extra for package, extra in extras.items() if importlib.util.find_spec(package) is None}
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise ConfigError(
            f"{what} needs {' and '.join(missing)}, which {are} not installed: "
            f"pip install 'xanes-hpc[{','.join(dict.fromkeys(missing.values()))}]'"
        )
