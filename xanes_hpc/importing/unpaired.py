"""Explain why no structure has a spectrum: names of both sides that nearly match, and what tells them apart."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from xanes_hpc.formats import nexus
from xanes_hpc.formats.text import OPENERS
from xanes_hpc.importing.spectrum_folders import endings_of

MOST_NAMES, MOST_FILES, MOST_PAIRS = 20, 20_000, 3
"""Largest numbers of structures and files that are compared, and of pairs that are shown."""
NO_PROJECTS: Mapping[Path, Sequence[str]] = {}
NAME_SITES = "name each spectrum after its site"
TAKES = "would take them"
MOST_LOOKED_AT = 4096
"""Bytes of a file in which a zero shows that it is binary."""
BOUNDARY = r"(?![^\W_])"
"""The next character must not be a letter or digit: ABC does not contain the name AB."""


def explain(
    sites: Sequence[str],
    folders: Iterable[Path],
    projects: Mapping[Path, Sequence[str]] = NO_PROJECTS,
    advised: Iterable[str] = (),
) -> str:
    """Return one line that sets names of sites beside those of files that nearly match, and says what would help.

    Parameters
    ----------
    sites
        Names of sites without a spectrum; the first ``MOST_NAMES`` are compared.
    folders
        The folders of spectra.
    projects
        The labels of the groups in their Athena projects that have several.
    advised
        Advice that the reasons for skipped structures give already; to name spectra after sites is not repeated.

    Examples
    --------
    >>> Path("xas").mkdir()
    >>> for name in ("WELROW_xas.txt", "ABEMAX_xas.txt"):
    ...     Path("xas", name).touch()
    >>> explain(["WELROW"], [Path("xas")])
    'files nearly match (WELROW: WELROW_xas.txt): `spectra_suffix` _xas.txt would take them'
    """
    sites, where = sites[:MOST_NAMES], ", ".join(map(str, folders := list(folders)))
    several = {project.name for project in projects}
    files = [name for folder in folders for name in _names(folder) if name not in several]
    if projects and not any(any(endings_of(file)) for file in files):
        project, labels = next(iter(projects.items()))
        there = f"the sites are called {_some(sites)}, the groups of {project.name} {_some(labels)}"
        return f"{there}; label each group after its site"
    if not files:
        inside = [entry.name for folder in folders for entry in sorted(folder.iterdir()) if entry.is_dir()]
        if inside:
            there = f"the sites are called {_some(sites)}, the folders in {where} {_some(inside)}"
            return f"{there}; name each spectrum, or a folder with one spectrum, after its site"
        return f"{where} is empty"
    stems = [_without_ending(file) for file in files]
    explained = [(site, *found) for site in sites if (found := _explained(site, files, stems))]
    if explained:
        (help_, _), *_ = Counter(why for _, _, why in explained).most_common(1)
        pairs = [(site, file) for site, file, why in explained if why == help_]
        first = next(path for folder in folders if (path := folder / pairs[0][1]).exists())
        if help_.endswith(TAKES) and not _may_be_spectrum(first):
            help_ = f"{first.name} is neither text nor NeXus; save the spectra as columns of text"
        fact = f"files nearly match ({_listed(pairs)})"
        repeated = NAME_SITES in help_ and any(NAME_SITES in advice for advice in advised)
        return fact if repeated else f"{fact}: {help_}"
    near = [(s, close[0]) for s in sites[:MOST_PAIRS] if (close := get_close_matches(s, files, 1, 0.5))]
    if near:
        return f"files nearly match ({_listed(near)}): a file's name must begin with that of its site"
    return f"the sites are called {_some(sites)}, the files {_some(files)}"


def _may_be_spectrum(path: Path) -> bool:
    """Return False for a file that is binary, but neither NeXus nor compressed."""
    if nexus.recognises(path) or path.suffix.lower() in OPENERS:
        return True
    try:
        with path.open("rb") as stream:
            return b"\0" not in stream.read(MOST_LOOKED_AT)
    except OSError:
        return True  # reading it will tell why


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_PAIRS]) + (", …" if len(names) > MOST_PAIRS else "")


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(islice((e.name for e in entries if not e.name.startswith(".") and e.is_file()), MOST_FILES))


def _without_ending(file: str) -> str:
    ending = next(endings_of(file), None)
    return "" if ending is None else file.removesuffix(ending.text)


def _explained(site: str, files: Sequence[str], stems: Sequence[str]) -> tuple[str, str] | None:
    """Return a file whose name differs from a site's in a way that can be told, and what would help."""
    structure, small = site.rpartition("#")[0] or site, site.lower()
    own = re.compile(re.escape(site) + BOUNDARY, re.IGNORECASE)
    for file, stem in zip(files, stems, strict=True):
        if file.startswith(f"{structure}#") and re.match(r"\d", file[len(structure) + 1 :]):
            return file, "files are named after other atoms; choose their atoms with `absorber`"
        if small in file.lower() and (found := own.search(file)):
            why = _difference(site, file[: found.start()], found[0], file[found.end() :])
            if why:
                return file, why
        if stem == structure:
            advice = f"{NAME_SITES}, or choose one with `absorber`"
            return file, f"structures have several sites, so {advice}"
        if stem and structure.startswith(stem) and re.match(BOUNDARY, structure[len(stem) :]):
            return file, "files are named after the beginnings of the structures' names; name them in full"
    return None


def _difference(site: str, before: str, found: str, after: str) -> str:
    known = next(endings_of(f"x{after}"), None)
    usual = known is not None and after.removesuffix(known.text) in known.tails
    if found != site:
        return "" if before or not usual else "names differ in capitals and small letters; rename one side"
    if before:
        return f"files' names begin with {before}; take that away" if usual and not before[-1].isalnum() else ""
    if after:
        return f"`spectra_suffix` {shlex.quote(after)} {TAKES}"
    return "the files' names have no ending; give them one, such as .txt"


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    more = ", …" if len(pairs) > MOST_PAIRS else ""
    return ", ".join(f"{site}: {file}" for site, file in pairs[:MOST_PAIRS]) + more
