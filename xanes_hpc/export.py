"""Predictions in files that others read."""

from collections import Counter
from pathlib import Path

import numpy as np

from xanes_hpc.errors import StoreError
from xanes_hpc.records import treatment_name
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import PredictionStore

ODD = set('/\\:*?"<>|')
"""What some file systems do not take in a name."""


def check_csv_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that CSV files cannot be written to.

    Raises
    ------
    StoreError
        If it is a file, stands in no folder, or holds CSV files that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder for CSV files, there is a file")
    if not folder.parent.is_dir():
        raise StoreError(f"{folder.parent}: no such folder for the output {folder.name}")
    if not overwrite and folder.is_dir() and any(folder.glob("*.csv")):
        raise StoreError(f"{folder}: holds CSV files already; name another folder or add --overwrite")


def write_csv(store: PredictionStore, folder: Path) -> int:
    """One CSV file per site: energies, mean, sigma, and the reference where there is one; the number of files.

    A file bears its site's name, with what file systems do not take replaced by ``_`` and a number where names collide.

    Raises
    ------
    StoreError
        If the folder cannot be made or written.
    """
    energies, sites_e0, treated = store.energies, store.read("sites/e0"), treatment_name(store.attribute("treatment"))
    distrust = store.distrust or [""] * store.n_sites
    relative = store.origin == "e0"
    taken: Counter[str] = Counter()
    try:
        folder.mkdir(exist_ok=True)
        for row, name in enumerate(store.sites.name):
            absolute = energies + sites_e0[row] if relative else energies
            columns = {"energy_ev": absolute, "mean": store.read("mean", row), "std": store.read("std", row)}
            if relative:
                columns = {"energy_ev_relative_to_e0": energies, **columns}
            if store.has_reference and np.isfinite(reference := store.read("reference", row)).any():
                columns["reference"] = reference
            warning = f"; not to be trusted: {distrust[row]}" if distrust[row] else ""
            comment = f"# {name}; e0 {sites_e0[row]:.6g} eV; treatment {treated}{warning}\n"
            stem = "".join(c if c.isprintable() and c not in ODD else "_" for c in name)
            taken[stem] += 1
            path = folder / (f"{stem}.csv" if taken[stem] == 1 else f"{stem}~{taken[stem]}.csv")
            table = np.stack(list(columns.values()), axis=1)
            np.savetxt(
                path,
                table,
                fmt="%.8g",
                delimiter=",",
                header=comment + ",".join(columns),
                comments="",
                encoding="utf-8",
            )
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {hdf5.explain(error)}") from None
    return store.n_sites
