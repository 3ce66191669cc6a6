"""Find the measured spectra that a user names: files, folders, patterns, projects and NeXus files with several."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Protocol, TypeVar

from xanes_hpc.errors import ConfigError, FormatError, SpectrumError, XanesHpcError
from xanes_hpc.formats import athena, is_spectrum_file, nexus, nexus_entries

T = TypeVar("T")
N = TypeVar("N", bound="Named")
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class MeasuredFile:
    """A file of a measured spectrum, or a group of a project, and the name under which it is listed."""

    path: Path
    name: str


@dataclass(frozen=True)
class LeftOut:
    """A measured spectrum that cannot be used, and why."""

    name: str
    reason: str


def measured_files(named: Iterable[Path]) -> list[MeasuredFile]:
    """Return the measured spectra in files, folders, patterns such as ``scans/*.xdi``, and Athena projects.

    A folder stands for its files whose names end like those of spectra, a project for all its groups, and a NeXus file
    for all its entries, unless one is named (``NAME.prj:LABEL``, ``NAME.nxs:ENTRY``). The order is that in which they
    are named, and the natural one within a folder. Spectra in files with equal names are listed with their folders.

    Raises
    ------
    FormatError
        If a folder has no spectra, or no file matches a pattern.
    ConfigError
        If a project is named and Larch is not installed.
    """
    once: dict[str, Path] = {}
    for path in _paths(named):
        once.setdefault(os.path.abspath(path), path)
    files = [own for path in once.values() for own in _groups(path)]
    counts = Counter(own.name for own in files)
    return [own if counts[own.name] == 1 else MeasuredFile(own.path, str(own.path)) for own in files]


def named_twice(named: Iterable[Path]) -> list[LeftOut]:
    """Return the files that are named more than once, which count once; raises as ``measured_files``."""
    counts = Counter(os.path.abspath(path) for path in _paths(named))
    twice = [(Path(own).name, n) for own, n in counts.items() if n > 1]
    return [LeftOut(name, f"{name}: named {n} times; it counts once") for name, n in twice]


def _paths(named: Iterable[Path]) -> list[Path]:
    """Return the files in files, folders and patterns, one as often as it is named."""
    paths: list[Path] = []
    for path in named:
        if path.is_dir():
            found = [own for own in path.iterdir() if own.is_file() and is_spectrum_file(own)]
            if not found:
                raise FormatError(f"{path}: no files of spectra in this folder")
            paths += sorted(found, key=natural)
        elif not path.exists() and has_magic(str(path)) and not athena.is_project(path):
            matching = [Path(own) for own in glob(str(path))]
            if not matching:
                raise FormatError(f"{path}: no file matches this pattern")
            paths += sorted(matching, key=natural)
        else:
            paths.append(path)
    return paths


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their value: ``T9.xdi`` comes before ``T10.xdi``.

    Examples
    --------
    >>> [path.name for path in sorted(map(Path, ["T10.xdi", "T9.xdi", "T9b.xdi"]), key=natural)]
    ['T9.xdi', 'T9b.xdi', 'T10.xdi']
    """
    words = DIGITS.split(str(path))
    return [(int(word), "") if k % 2 else (-1, word.lower()) for k, word in enumerate(words)]


def _groups(path: Path) -> list[MeasuredFile]:
    """Return the groups of a project, or the entries of a NeXus file, with several; a file otherwise."""
    if not path.is_file():
        return [MeasuredFile(path, path.name)]
    labels = athena.labels(path) if path.suffix.lower() == athena.PROJECT else []
    labels = nexus_entries.entries(path) if nexus.recognises(path) else labels
    if len(labels) < 2:
        return [MeasuredFile(path, path.name)]
    chosen = [str(k) if "/" in own else own for k, own in enumerate(labels, 1)]  # a name of a file has no slash
    return [
        MeasuredFile(path.with_name(f"{path.name}:{one}"), f"{path.name}:{own}")
        for one, own in zip(chosen, labels, strict=True)
    ]


class Named(Protocol):
    """Anything listed under a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


def each_usable(items: Iterable[N], do: Callable[[N], T]) -> tuple[list[T], list[LeftOut]]:
    """Do something to each of several measured spectra; those for which it fails are left out with their reasons.

    Raises
    ------
    ConfigError
        If an option of ``do`` is not possible for any spectrum.
    """
    done, left_out = [], []
    for own in items:
        try:
            done.append(do(own))
        except ConfigError:
            raise
        except XanesHpcError as error:
            left_out.append(LeftOut(own.name, str(error)))
    return done, left_out


def check_some(usable: Sequence[object], left_out: Sequence[LeftOut]) -> None:
    """Check that some measured spectra can be used.

    Raises
    ------
    SpectrumError
        If none can; it says why the first cannot.
    """
    if not usable:
        more = f"; {len(left_out) - 1:,} more cannot be used either" if len(left_out) > 1 else ""
        raise SpectrumError(f"{left_out[0].reason}{more}" if left_out else "expected measured spectra, received none")


def read_usable(
    files: Iterable[MeasuredFile], read: Callable[[Path], T]
) -> tuple[list[tuple[MeasuredFile, T]], list[LeftOut]]:
    """Read measured spectra; those that cannot be used are left out with their reasons.

    Raises
    ------
    ConfigError
        If an option of ``read`` is not possible for any spectrum.
    SpectrumError
        If none can be used.
    """
    usable, left_out = each_usable(files, lambda own: (own, read(own.path)))
    check_some(usable, left_out)
    return usable, left_out
