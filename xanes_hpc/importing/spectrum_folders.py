"""An index of folders of spectra: which of their files are called like a site."""

import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.formats import SUFFIXES, TEXT_SUFFIXES, athena, is_named_by_program
from xanes_hpc.formats.text import OPENERS, unpacked_name

TAILS = ("", "_conv", "_xes_conv", "_xanes")
"""What may stand between a structure's name and the suffix of its spectrum file."""
BROADENED = "_conv"
MOST_LISTED = 3
"""Number of files that a message lists."""
NUMBERED = re.compile(r" \(\d+\)$")
"""What stands after each of several equal labels in a project."""

Hashes = npt.NDArray[np.int64]


class _Ending(NamedTuple):
    """An ending of file names as they are written, and the tails that may come before it."""

    rank: int
    text: str
    tails: tuple[str, ...]


class SpectrumFolders:
    """The files of spectra in folders, to be found by the names of their sites.

    The name of a spectrum's file is the site's name, one of ``TAILS``, and one of ``SUFFIXES``, in small letters or
    capitals; a compressed text also ends in ``.gz``, ``.bz2`` or ``.xz``. Each folder is read once. The index holds
    8 bytes per file. Each of several groups in an Athena project belongs to the site of its label. A site without a
    file may have a folder of its name, as calculations have.

    Parameters
    ----------
    folders
        The folders; of several files for a site, those in the first folder come first.
    endings
        What else may follow a site's name: ``_mine.dat``.

    Examples
    --------
    >>> folder = Path("spectra")
    >>> folder.mkdir()
    >>> for name in ("WELROW.TXT", "WELROW_conv.dat.gz", "notes.md"):
    ...     _ = (folder / name).write_text("")
    >>> index = SpectrumFolders([folder])
    >>> [path.name for path in index.files_of("WELROW")], index.n_files
    (['WELROW.TXT', 'WELROW_conv.dat.gz'], 2)
    """

    def __init__(self, folders: Sequence[Path], endings: Sequence[str] = ()) -> None:
        self.folders, self.endings = tuple(folders), tuple(endings)
        self.n_files = 0
        """The number of files whose names end like those of spectra."""
        self.projects: dict[Path, list[str]] = {}
        """The labels of the groups in Athena projects that have several."""
        self._groups: defaultdict[str, list[Path]] = defaultdict(list)
        self._subfolders: dict[Path, Hashes] = {}
        self._indices = [(str(folder), self._index(folder)) for folder in folders]

    def files_of(self, name: str) -> list[Path]:
        """Return the files of spectra, and groups of projects, that are called like a site."""
        found = []
        for folder, index in self._indices:
            for ending, hashes in index:
                for tail in ending.tails:
                    if _holds(hashes, name + tail):
                        found.append(os.path.join(folder, f"{name}{tail}{ending.text}"))
        files = [path for path in map(Path, dict.fromkeys(found)) if path not in self.projects and path.is_file()]
        return files + self._groups.get(name, [])

    def in_own_folder(self, name: str) -> list[Path]:
        """Return the files of spectra in the first folder that is called like a site; empty if there are none.

        Raises
        ------
        FormatError
            If it is unclear which of its files they are.
        """
        for folder, hashes in self._subfolders.items():
            if _holds(hashes, name) and (own := folder / name).is_dir():
                found = [own / file for file in _calculation_in(own, name)]
                self.n_files += len(found)
                return found
        return []

    def _index(self, folder: Path) -> list[tuple[_Ending, Hashes]]:
        """Return, by ending, the hashes of the folder's file names without it, ascending."""
        groups: defaultdict[_Ending, array[int]] = defaultdict(lambda: array("q"))
        subfolders = array("q")
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir():
                    subfolders.append(hash(entry.name))
                    continue
                endings = list(endings_of(entry.name, self.endings))
                for ending in endings:
                    groups[ending].append(hash(entry.name.removesuffix(ending.text)))
                if endings and entry.name.lower().endswith(athena.PROJECT):
                    self._list_groups(folder / entry.name)
                self.n_files += bool(endings)
        if subfolders:
            self._subfolders[folder] = np.sort(np.frombuffer(subfolders, np.int64))
        return [(ending, np.sort(np.frombuffer(groups[ending], np.int64))) for ending in sorted(groups)]

    def _list_groups(self, project: Path) -> None:
        """List the groups of a project; one that cannot be read is left to whoever reads it as a spectrum."""
        try:
            labels = athena.labels(project)
        except (XanesHpcError, OSError):
            return
        if len(labels) > 1:
            self.projects[project] = labels
            self.n_files += len(labels) - 1
            for label in labels:
                for name in {label, NUMBERED.sub("", label)} if "/" not in label else ():
                    self._groups[name].append(project.with_name(f"{project.name}:{label}"))


def endings_of(name: str, own: Sequence[str] = ()) -> Iterator[_Ending]:
    """Yield the endings of a file's name that mark it as a spectrum, those in ``own`` among them."""
    whole = name.lower()
    plain, packed = os.path.splitext(whole)
    if packed not in OPENERS:
        plain, packed = whole, ""
    suffix = os.path.splitext(plain)[1]
    if suffix in (TEXT_SUFFIXES if packed else SUFFIXES):
        text = name[-len(suffix + packed) :]
        capitals = () if text.islower() else tuple(tail.upper() for tail in TAILS[1:])
        yield _Ending(SUFFIXES.index(suffix), text, TAILS + capitals)
    for rank, ending in enumerate(map(str.lower, own), len(SUFFIXES)):
        if ending and whole.endswith(ending):
            yield _Ending(rank, name[-len(ending) :], ("",))
        elif packed and ending and plain.endswith(ending):
            yield _Ending(rank, name[-len(ending + packed) :], ("",))


def _calculation_in(folder: Path, name: str) -> list[str]:
    """Return the spectra in the folder of one calculation.

    They are the file that a program gives always the same name (``xmu.dat``), those that are called like the site,
    FDMNES's ``X_conv.txt`` with ``X.txt``, or the only file whose name ends like that of a spectrum.
    """
    files = sorted(os.listdir(folder))
    named = [file for file in files if is_named_by_program(folder / file)]
    by_stem = {Path(unpacked_name(Path(file))).stem: file for file in named or files if named or any(endings_of(file))}
    stems = [name + tail for tail in TAILS]
    if not any(stem in by_stem for stem in stems):
        broadened = [stem for stem in by_stem if stem.endswith(BROADENED)]
        whole = broadened if len(broadened) == 1 else list(by_stem) if len(by_stem) == 1 else []
        stems = [stem for one in whole for stem in (one.removesuffix(BROADENED), one)]
    found = list(dict.fromkeys(by_stem[stem] for stem in stems if stem in by_stem))
    if by_stem and not found:
        some = ", ".join(list(by_stem.values())[:MOST_LISTED]) + (", …" if len(by_stem) > MOST_LISTED else "")
        raise FormatError(f"{folder}: expected one spectrum, of {name}, received {len(by_stem)} files: {some}")
    return found


def _holds(hashes: Hashes, stem: str) -> bool:
    wanted = hash(stem)
    at = int(hashes.searchsorted(wanted))
    return at < hashes.size and int(hashes[at]) == wanted
