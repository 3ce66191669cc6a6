"""NeXus files of others: the default group, raw counts, and texts that are arrays of one."""

import h5py
import numpy as np
import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum

ENERGIES = np.arange(8950.0, 9100.0, 0.5)
MU = 0.2 + 1.5 * (0.5 + np.arctan((ENERGIES - 8979.0) / 1.5) / np.pi)
INCOMING = 2e5 * (1 - 1e-3 * (ENERGIES - 8950.0))


def group(parent, name, kind, **attributes):
    made = parent.create_group(name)
    for key, value in {"NX_class": kind, **attributes}.items():
        made.attrs[key] = value
    return made


def holds_mu(found):
    np.testing.assert_array_equal(found.energies, ENERGIES)
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-12)
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.nxs"


@pytest.mark.parametrize("told", [True, False])
def test_the_default_group_is_read_or_the_first_one_named(path, told):
    with h5py.File(path, "w") as file:
        if told:
            file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry", **({"default": "normalised"} if told else {}))
        for name, values in (("a_flat_field", INCOMING), ("normalised", MU)):
            data = group(entry, name, "NXdata", signal="data", axes="energy")
            data["energy"], data["data"] = ENERGIES, values
    found = read_spectrum(path)
    if told:
        assert holds_mu(found)
        assert found.choices == ()
    else:
        assert found.choices == (
            (
                "files have several spectra",
                "a.nxs: entry/a_flat_field, entry/normalised; read entry/a_flat_field, the first",
            ),
        )


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        (None, "ln(incoming / absorbed)"),
        ("Transmission", "ln(incoming / absorbed)"),
        ("Fluorescence", "absorbed / incoming"),
    ],
)
def test_raw_counts_are_divided_by_the_incoming_beam(path, mode, how):
    counts = INCOMING * (np.exp(-MU) if how.startswith("ln") else MU)
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry")
        entry["definition"], entry["element"], entry["edge"] = "NXxas", "Cu", "K"
        instrument = group(entry, "instrument", "NXinstrument")
        group(instrument, "monochromator", "NXmonochromator")["energy"] = ENERGIES
        group(instrument, "absorbed_beam", "NXdetector")["data"] = counts
        group(instrument, "incoming_beam", "NXdetector")["data"] = INCOMING
        data = group(entry, "data", "NXdata", signal="absorbed_beam", axes="energy")
        data["energy"] = h5py.SoftLink("/entry/instrument/monochromator/energy")
        data["absorbed_beam"] = h5py.SoftLink("/entry/instrument/absorbed_beam/data")
        if mode is not None:
            data["mode"] = mode
    found = read_spectrum(path)
    assert holds_mu(found)
    assert found.choices == (("raw counts became an absorption", f"a.nxs: {how}"),)
    assert (found.element, found.edge) == (29, "K")


def test_raw_counts_without_the_incoming_beam_are_refused(path):
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry")
        entry["definition"] = "NXxas"
        data = group(entry, "data", "NXdata", signal="absorbed_beam")
        data["energy"], data["absorbed_beam"] = ENERGIES, INCOMING
    with pytest.raises(FormatError, match="expected counts of the incoming beam"):
        read_spectrum(path)


def test_texts_as_arrays_of_one(path):
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/data")
        data.attrs["NX_class"], data.attrs["signal"] = np.array([b"NXdata"]), np.array([b"mine"])
        data["energy"], data["mine"] = ENERGIES / 1000.0, MU
        data["energy"].attrs["units"] = np.array([b"keV"])
    found = read_spectrum(path)
    np.testing.assert_allclose(found.energies, ENERGIES, rtol=1e-12)
    np.testing.assert_array_equal(found.intensities, MU)
