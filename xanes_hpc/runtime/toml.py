"""Read a TOML file."""

import tomllib
from pathlib import Path
from typing import Any

from xanes_hpc.errors import XanesHpcError


def read_toml(path: Path, kind: type[XanesHpcError]) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises
    ------
    XanesHpcError
        Of the type ``kind``, if the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise kind(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise kind(f"{path}: not TOML: it is not a text file in UTF-8") from None
    except ValueError as error:  # invalid TOML, or a number with thousands of digits
        raise kind(f"{path}: not TOML: {error}") from None
