"""The groups of an Athena project (Demeter, Larch), each under a name of its own.

Larch keeps one of several groups whose labels are equal, or differ only in signs. We therefore give it a copy of the
project in which the labels are numbers.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xanes_hpc.errors import FormatError
from xanes_hpc.runtime.optional import need

GZIP = b"\x1f\x8b"
ARGUMENTS = re.compile(r"^@args\s*=.*$", re.MULTILINE)
LABEL = re.compile(r"""('label'\s*,\s*)'((?:[^'\\]|\\.)*)'""")
ESCAPED, SIGN = re.compile(r"\\(.)"), r"\1"
OURS = "xanes_hpc_{}"
"""The label of the group with this number, as Larch sees it."""


def groups_of(path: Path) -> dict[str, Any]:
    """Return the groups of a project, as Larch reads them, by their labels; equal ones are numbered: ``a (1)``.

    Raises
    ------
    ConfigError
        If Larch is not installed.
    FormatError
        If the file is not a project.
    OSError
        If it cannot be read.
    """
    need("larch", "larch", "reading an Athena project")
    found = path.stat()
    return _groups(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1)
def _groups(path: Path, *stamp: int) -> dict[str, Any]:
    from larch.io import read_athena

    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if content.startswith(GZIP) else content).decode("utf-8", "replace")
        text, labels = _numbered(text)
        with TemporaryDirectory(prefix="xanes-hpc-") as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(gzip.compress(text.encode(), 1))
            project = read_athena(str(copy), do_preedge=False, do_bkg=False, do_fft=False)
            groups = list(project.items())
    except (OSError, EOFError, ValueError, AttributeError, KeyError, TypeError, IndexError, zlib.error) as error:
        reason = str(error).rpartition(f"{path.name}': ")[2]
        raise FormatError(f"{path}: cannot be read as an Athena project: {reason}") from None
    names = [str(labels.get(name, getattr(group, "label", name))) for name, group in groups]
    counts, numbers = Counter(names), Counter[str]()
    own = {}
    for name, (_, group) in zip(names, groups, strict=True):
        numbers[name] += 1
        own[f"{name} ({numbers[name]})" if counts[name] > 1 else name] = group
    return own


def _numbered(text: str) -> tuple[str, dict[str, str]]:
    """Return a project's text with numbers for labels, and the labels by what stands in their place."""
    labels: dict[str, str] = {}

    def number(label: str) -> str:
        name = OURS.format(len(labels))
        labels[name] = label
        return name

    if "____header" in text[:500]:
        project = json.loads(text)
        for name in next((value for key, value in project.items() if key.startswith("_____order")), []):
            arguments = project[name].setdefault("args", {})
            arguments["label"] = number(str(arguments.get("label", name)))
        return json.dumps(project), labels

    def renamed(line: re.Match[str]) -> str:
        return LABEL.sub(lambda found: f"{found[1]}'{number(ESCAPED.sub(SIGN, found[2]))}'", line[0], count=1)

    return ARGUMENTS.sub(renamed, text), labels
