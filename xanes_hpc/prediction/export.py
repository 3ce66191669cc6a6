"""Export predictions to files that other programs read, one per site."""

import json
import os
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.formats import athena, csv_columns, nexus_entries, nexus_writer, xdi
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.runtime import outputs
from xanes_hpc.stores.predictions import PredictionStore

Writer = Callable[[Path, PredictedSpectrum], None]
FORMATS: dict[str, tuple[Writer, str]] = {
    "xdi": (xdi.write, xdi.SUFFIX),
    "nexus": (nexus_writer.write, nexus_entries.SUFFIX),
    "athena": (athena.write, athena.SUFFIX),
    "csv": (csv_columns.write, csv_columns.SUFFIX),
}
"""Writer and file suffix of each format."""
ODD = set('/\\:*?"<>|')
"""Characters that some file systems refuse in a name."""
LONGEST_NAME = 200
"""Bytes of a file's name without its suffix; file systems take 255 in all."""
ROWS_AT_ONCE = 512

Progress = Callable[[int, int], None]


def check_folder(folder: Path, kind: str, overwrite: bool) -> None:
    """Check that files of a format can be written to a folder.

    Raises
    ------
    FormatError
        If there is no such format.
    StoreError
        If the folder is a file, has no parent folder, is not writable, or holds such files and ``overwrite`` is False.
    """
    if kind not in FORMATS:
        raise FormatError(f"format {kind!r}: expected {', '.join(FORMATS)}")
    suffix = FORMATS[kind][1]
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder for {suffix} files, received a file")
    if not folder.parent.is_dir():
        raise StoreError(f"{folder.parent}: no such folder for the output {folder.name}")
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK):
        raise StoreError(f"{folder}: no permission to write here; name another folder")
    if folder.is_dir() and (inside := next((p for p in folder.glob(f"*{suffix}") if p.is_dir()), None)) is not None:
        raise StoreError(f"{inside}: is a folder and will not be replaced; name another folder")
    if not overwrite and folder.is_dir() and any(folder.glob(f"*{suffix}")):
        raise StoreError(
            f"{folder}: already holds {suffix} files; name another folder, or replace them with `overwrite`"
        )


def export(
    store: PredictionStore,
    folder: Path,
    kind: str,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    rows: npt.NDArray[np.integer] | None = None,
) -> list[Path]:
    """Write one file per site with energies, mean, sigma and any reference, and return the files' paths.

    A file is named after its site. Characters that file systems refuse become ``_``, long names are cut, and names that
    would collide, also where case does not count, get a number. All files are written to a temporary folder first, so a
    failed export leaves nothing behind.

    Parameters
    ----------
    store
        The predictions.
    folder, kind
        The folder to write to, and a format of ``FORMATS``.
    overwrite
        Whether to replace existing files.
    progress
        Called with files done and in all.
    rows
        Sites to write; all by default.

    Raises
    ------
    FormatError
        If there is no such format.
    StoreError
        If the folder already holds such files, or cannot be made or written.
    """
    check_folder(folder, kind, overwrite)
    write, suffix = FORMATS[kind]
    rows = np.arange(store.n_sites) if rows is None else rows
    names = file_names([store.sites.name[row] for row in rows])
    try:
        with _filled(folder) as temporary:
            for done, predicted in enumerate(predicted_spectra(store, rows)):
                if done % 100 == 0:
                    progress(done, len(rows))
                write(temporary / f"{names[done]}{suffix}", predicted)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder}: cannot be written: {outputs.explain(error)}") from None
    progress(len(rows), len(rows))
    return [folder / f"{name}{suffix}" for name in names]


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files are moved to ``folder`` when the block succeeds."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        yield temporary
        folder.mkdir(exist_ok=True)
        for path in sorted(temporary.iterdir()):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def file_names(sites: list[str]) -> list[str]:
    """Return a file name for each site, without suffix; all are different, also on file systems that ignore case.

    Examples
    --------
    >>> file_names(["a/b", "FE", "Fe", "fe"])
    ['a_b', 'FE', 'Fe~2', 'fe~3']
    """
    taken: Counter[str] = Counter()
    used: set[str] = set()
    names = []
    for site in sites:
        stem = "".join(c if c.isprintable() and c not in ODD else "_" for c in site)
        stem = stem.encode()[:LONGEST_NAME].decode(errors="ignore") or "site"
        number = taken[_alike(stem)] + 1
        while _alike(name := stem if number == 1 else f"{stem}~{number}") in used:
            number += 1
        taken[_alike(stem)] = number
        used.add(_alike(name))
        names.append(name)
    return names


def _alike(name: str) -> str:
    """Return what two names share that are one to some file systems."""
    return unicodedata.normalize("NFC", name).casefold()


def predicted_spectra(
    store: PredictionStore, rows: npt.NDArray[np.integer] | None = None
) -> Iterator[PredictedSpectrum]:
    """Yield the predictions of some sites, all by default, with their references and provenance."""
    energies, relative, sites = store.energies, store.origin == "e0", store.sites
    e0, formulas = store.read("sites/e0"), store.texts("formula")
    distrust, distribution = store.reasons, store.distribution
    kind, treatment, unit = (store.attribute(name) for name in ("kind", "treatment", "unit"))
    averages = _averages(store)
    provenance = {
        "model": store.attribute("model_digest"),
        "draws": str(store.file.attrs["n_draws"]),
        "seed": str(store.file.attrs["seed"]),
        "method": store.attribute("method") or "dropout",
        "program": store.attribute("creator"),
    }
    wanted = np.arange(store.n_sites) if rows is None else rows
    for start in range(0, wanted.size, ROWS_AT_ONCE):
        some = wanted[start : start + ROWS_AT_ONCE]
        low, high = int(some.min()), int(some.max()) + 1
        here, own = (slice(low, high), some - low) if high - low <= 2 * ROWS_AT_ONCE else (slice(None), some)
        mean, std = store.read("mean", here)[own], store.read("std", here)[own]
        store.check_finite(some, mean, std)
        reference = store.read("reference", here)[own] if store.has_reference else np.full_like(mean, np.nan)
        for i, row in enumerate(some.tolist()):
            known = bool(np.isfinite(e0[row]))
            yield PredictedSpectrum(
                site=sites.name[row],
                formula=formulas[row],
                element=chemical_symbols[sites.element[row]],
                edge=sites.edge[row],
                kind=kind,
                energies=energies + e0[row] if relative and known else energies,
                e0=float(e0[row]),
                mean=mean[i],
                std=std[i],
                reference=_if_any(reference[i]),
                treatment=treatment,
                unit=unit,
                provenance=provenance | averages[row],
                distrust=distrust[row],
                distribution=distribution,
            )


def _averages(store: PredictionStore) -> list[dict[str, str]]:
    """Return, for each row, a header entry that says what it is an average of; an empty one if it is not."""
    if store.n_averaged is None:
        return [{}] * store.n_sites
    how = json.loads(store.attribute("derivation") or "{}")
    weighted = f", weights {how['weights']}" if how.get("weights") else ""
    return [{"average": f"{n} sites by {how.get('by')}{weighted}"} for n in store.n_averaged]


def _if_any(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    return values if np.isfinite(values).any() else None
