"""Verify a store: read every chunk, so that checksums are checked, and compare digests with the data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from xanes_hpc.errors import first_line
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.structure_writer import STRUCTURE_NAMES
from xanes_hpc.stores.texts import read_text
from xanes_hpc.stores.virtual import virtual_parts


@dataclass
class Findings:
    """Amount of data read, and the damage found in it."""

    chunks: int = 0
    bytes: int = 0
    unchecked: list[str] = field(default_factory=list)
    """Datasets without checksums; their values are read too."""
    damage: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"chunks": self.chunks, "bytes": self.bytes, "without_checksum": self.unchecked, "damage": self.damage}


def read_all(path: Path) -> Findings:
    """Read all of a store, and return the damage found.

    Raises
    ------
    StoreError
        If the file is not a store, or cannot be opened.
    """
    findings = Findings()
    with hdf5.open_store(path) as file:
        names: list[str] = []
        try:
            file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        except (OSError, RuntimeError) as error:
            findings.damage.append(f"list of datasets: {first_line(error)}")
        for name in names:
            _read(file, name, findings)
        if not findings.damage:
            _compare_digests(file, findings)
    return findings


def _read(file: h5py.File, name: str, findings: Findings, where: str = "") -> None:
    try:
        dataset = file[name]
        if dataset.is_virtual:
            for part in virtual_parts(dataset, Path(file.filename)):
                with open_hdf5(part) as own:
                    _read(own, name, findings, f"{part.name}: ")
            return
        if dataset.chunks is None or not dataset.fletcher32:
            findings.unchecked.append(name)
            dataset[()]
            return
        for chunk in dataset.iter_chunks() if dataset.size else ():
            rows = f"{where}{name}, rows {chunk[0].start} to {chunk[0].stop - 1}"
            try:
                findings.bytes += dataset[chunk].nbytes
            except (OSError, RuntimeError) as error:
                findings.damage.append(f"{rows}: {first_line(error)}")
            findings.chunks += 1
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        findings.damage.append(f"{where}{name}: {first_line(error)}")


def _compare_digests(file: h5py.File, findings: Findings) -> None:
    for attribute, names in (("digest_structures", STRUCTURE_NAMES), ("digest_spectra", spectra.spectrum_names(file))):
        written = read_text(file, attribute)
        if written and hdf5.digest(file, names) != written:
            findings.damage.append(f"attribute {attribute}: does not match the data")
    if read_text(file, hdf5.ATTRIBUTES) not in ("", hdf5.digest_attributes(file)):
        findings.damage.append(f"attribute {hdf5.ATTRIBUTES}: does not match the other attributes")
