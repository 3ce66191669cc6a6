"""Write small stores for tests, and damage them."""

import shutil

import h5py
import numpy as np
import pytest

from xanes_hpc import descriptors
from xanes_hpc.errors import StoreError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum, Spectrum, treatment
from xanes_hpc.stores.hdf5 import open_store
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure


def structure(name, n_atoms=3, seed=0, **options):
    """Return Fe with oxygens around it, all at different distances."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_atoms - 1, 3))
    directions *= (np.linspace(1.6, 3.5, n_atoms - 1) / np.linalg.norm(directions, axis=1))[:, None]
    numbers = np.array([26] + [8] * (n_atoms - 1), np.uint8)
    return Structure(name, numbers, np.vstack([np.zeros(3), directions]), **options)


def spectrum(n_points=5, e0=7112.0, **options):
    """Return a spectrum on its own grid."""
    energies = e0 - 2.0 + np.linspace(0.0, 10.0, n_points)
    intensities = np.sin(np.arange(n_points)) ** 2
    placed = {key: options.pop(key) for key in ("e0_source", "energy_origin", "shift") if key in options}
    record = Spectrum(energies, intensities, **{"treatment": NO_TREATMENT, **options})
    return PlacedSpectrum(record, e0, **{"e0_source": "xraydb", "energy_origin": "absolute", **placed})


def rows():
    """Return (structure, absorbers, edge, spectra by site) of a molecule, a crystal with two sites, and a bare site."""
    cell = np.array([[4.0, 0.0, 0.0], [0.5, 5.0, 0.0], [0.0, 0.25, 6.0]])
    crystal = structure("crystal", 4, 1, cell=cell, pbc=np.array([True, True, False]), properties={"charge": 0.0})
    broad = spectrum(
        3, kind="xes", treatment=treatment("seah-dench", width=1.25), unit="Mbarn", source="b.txt", shift=1.5
    )
    return [
        (structure("molecule", 3, 0, properties={"charge": -1.0, "code": "ABC"}), [0], "K", [[spectrum(), broad]]),
        (crystal, [0, 2], "L3", [[spectrum(7, 707.0, energy_origin="e0")], []]),
        (structure("bare", 2, 2), [1], "K", [[]]),
    ]


def write_structures(path, entries=None, overwrite=False):
    """Write a structure store of ``entries``, by default ``rows()``, and return its path."""
    with create_structures(path, overwrite) as writer:
        for record, atoms, edge, spectra in rows() if entries is None else entries:
            writer.append(record, np.array(atoms, np.int64), edge, spectra)
    return path


def write_features(folder, preset="xanesnet-49", entries=None):
    """Write ``s.h5`` and its feature store ``f.h5`` to a folder, and return the latter's path."""
    write_structures(folder / "s.h5", entries)
    with StructureStore(folder / "s.h5") as source:
        featurise(source, descriptors.load("wacsf", preset), folder / "f.h5")
    return folder / "f.h5"


def changed(path, target, change):
    """Copy a store, change the copy with plain h5py, and return its path."""
    shutil.copy(path, target)
    with h5py.File(target, "a") as file:
        change(file)
    return target


def replaced(name, data, **options):
    """Return a change that replaces a dataset by another."""

    def change(file):
        del file[name]
        file.create_dataset(name, data=data, **options)

    return change


def flip_a_byte(path, dataset, chunk=0):
    """Flip one bit in the middle of a chunk, directly in the file."""
    with h5py.File(path) as file:
        stored = file[dataset].id.get_chunk_info(chunk)
    with path.open("r+b") as stream:
        stream.seek(stored.byte_offset + stored.size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


def everything(path):
    """Return every dataset and attribute of a store, in a form that can be compared."""
    with h5py.File(path, "r") as file:
        found = {f"@{name}": value for name, value in file.attrs.items()}

        def take(name, node):
            if isinstance(node, h5py.Dataset):
                found[name] = (node.dtype.str, node.shape, node.chunks, node[()].tobytes() if node.shape else node[()])

        file.visititems(take)
    return found


def refused(path, kind=None):
    """Open a store that must be refused, and return the error message without the path."""
    with pytest.raises(StoreError) as caught:
        open_store(path, kind)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def stored(folder, name):
    """Return a dataset of the store ``out.h5`` in a folder; texts as a list."""
    with h5py.File(folder / "out.h5") as file:
        values = file[name][()]
        if h5py.check_string_dtype(file[name].dtype):
            return [v.decode() for v in values]
        return values
