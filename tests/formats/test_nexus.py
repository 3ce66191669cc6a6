"""NeXus files of others: the default group, raw counts, and texts that are arrays of one."""

import h5py
import numpy as np
import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions

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


@pytest.mark.parametrize("name", ["data_errors", "errors", "deviations"])
def test_standard_deviations_of_the_signal_are_read(path, name):
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="data", axes="energy")
        data["energy"], data["data"], data[name] = ENERGIES, MU, 0.01 * MU
        data["data"].attrs["uncertainties"] = "deviations"
    found = read_spectrum(path)
    assert holds_mu(found)
    np.testing.assert_array_equal(found.sigma, 0.01 * MU)
    assert found.choices == (("standard deviations were read from a column", f"a.nxs: {name}"),)


def raw_counts(path, mode=None, how="ln", mu=MU):
    counts = INCOMING * (np.exp(-mu) if how == "ln" else mu)
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
    return path


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        (None, "ln(incoming / absorbed)"),
        (None, "absorbed / incoming"),
        ("Transmission", "ln(incoming / absorbed)"),
        ("Fluorescence", "absorbed / incoming"),
    ],
)
def test_raw_counts_are_divided_by_the_incoming_beam(path, mode, how):
    found = read_spectrum(raw_counts(path, mode, how[:2]))
    assert holds_mu(found)
    assert found.choices[0][1].startswith(f"a.nxs: {how}")
    assert found.choices[0][1].endswith("and this rises") == (mode is None)
    assert (found.element, found.edge) == (29, "K")


def test_raw_counts_that_the_user_explains(path):
    raw_counts(path, mu=np.full_like(MU, 0.5))
    with pytest.raises(FormatError, match=r"a\.nxs: the raw counts have no mode; give `mu`, transmission or fluor"):
        read_spectrum(path)
    assert read_spectrum(path, ReadOptions(mu="fluorescence")).intensities == pytest.approx(np.exp(-0.5))
    raw_counts(path, "Transmission", "ab")
    assert holds_mu(read_spectrum(path, ReadOptions(mu="fluorescence")))
    with pytest.raises(FormatError, match="`mu` reference does not apply"):
        read_spectrum(path, ReadOptions(mu="reference"))
    with pytest.raises(FormatError, match=r"a\.nxs: `d_spacing` does not apply to NeXus"):
        read_spectrum(path, ReadOptions(d_spacing=3.1356))


@pytest.mark.parametrize(
    ("axis", "unit", "attribute"),
    [("photon_energy", "eV", True), ("energy_keV", None, True), ("energy_eV", None, False)],
)
def test_energies_and_signals_by_other_names(path, axis, unit, attribute):
    with h5py.File(path, "w") as file:
        data = group(file, "entry/data", "NXdata")
        data[axis], data["mu"] = ENERGIES / (1000.0 if "keV" in axis else 1.0), MU
        if unit:
            data[axis].attrs["units"] = unit
        if attribute:
            data.attrs["signal"], data.attrs["axes"] = "mu", [axis]
        else:
            data["mu"].attrs["signal"] = 1
    found = read_spectrum(path)
    np.testing.assert_allclose(found.energies, ENERGIES, rtol=1e-12)
    np.testing.assert_array_equal(found.intensities, MU)
    with pytest.raises(FormatError, match=r"a\.nxs: `mu` transmission: expected the raw counts of NXxas"):
        read_spectrum(path, ReadOptions(mu="transmission"))


def test_a_default_that_leads_nowhere_is_told(path):
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry", default="gone")
        data = group(entry, "data", "NXdata", signal="data")
        data["energy"], data["data"] = ENERGIES, MU
    found = read_spectrum(path)
    assert holds_mu(found)
    assert found.choices == (("the default group of NeXus files has no spectrum", "a.nxs: entry/gone"),)


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
