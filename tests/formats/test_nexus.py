"""NeXus files of others: the default group, raw counts, and texts that are arrays of one."""

import h5py
import numpy as np
import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.measured_files import measured_files
from xanes_hpc.formats import nexus_entries, read_spectrum
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


def test_a_default_that_leads_to_a_dataset_with_a_default_is_told(path):
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "number"
        file["number"] = 1.0
        file["number"].attrs["default"] = "data"
        data = group(file, "entry", "NXdata", signal="data")
        data["energy"], data["data"] = ENERGIES, MU
    found = read_spectrum(path)
    assert holds_mu(found)
    assert found.choices == (("the default group of NeXus files has no spectrum", "a.nxs: number/data"),)


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


def scan(path, signal, columns, energies=ENERGIES, definition=None, name="data", **attributes):
    with h5py.File(path, "a") as file:
        entry = file.require_group("entry")
        if definition:
            entry["definition"] = definition
        data = group(entry, name, "NXdata", signal=signal, axes="energy", **attributes)
        data["energy"] = energies
        for title, values in columns.items():
            data[title] = values
    return path


@pytest.mark.parametrize(
    ("signal", "others", "formula"),
    [
        ("If", {"If": INCOMING * MU}, "If / I0"),
        ("fluorescence", {"fluorescence": INCOMING * MU}, "fluorescence / I0"),
        ("I0", {"It": INCOMING * np.exp(-MU)}, "ln(I0 / It)"),
    ],
)
def test_counts_are_divided_by_those_beside_them(path, signal, others, formula):
    found = read_spectrum(scan(path, signal, {"I0": INCOMING, **others}))
    assert holds_mu(found)
    assert found.choices == (("spectra were computed from detector channels", f"a.nxs: {formula}"),)


@pytest.mark.parametrize(
    ("signal", "others", "words"),
    [
        ("It", (), "received the counts of It alone"),
        ("sca_Cu_Ka", ("I0",), "received (sca_Cu_Ka beside the counts of i0|the counts of sca_Cu_Ka alone)"),
        ("chi", ("I0",), "received the column chi"),
        ("derivative", (), "received the column derivative"),
    ],
)
def test_a_signal_that_is_no_spectrum(path, signal, others, words):
    scan(path, signal, {signal: INCOMING, **dict.fromkeys(others, INCOMING)})
    with pytest.raises(FormatError, match=rf"a\.nxs: entry/data: expected a spectrum, {words}; `columns` chooses"):
        read_spectrum(path)
    found = read_spectrum(path, ReadOptions(columns=("energy", signal)))
    np.testing.assert_array_equal(found.intensities, INCOMING)


def test_a_derivative_before_the_spectrum(path):
    scan(path, "derivative", {"derivative": np.gradient(MU)}, name="a")
    found = read_spectrum(scan(path, "mu", {"mu": MU}, name="b"))
    assert holds_mu(found)
    ((what, detail),) = found.choices
    assert what == "groups of NeXus files hold no spectrum and were not read"
    assert detail.startswith("a.nxs: entry/a: expected a spectrum, received the column derivative")


@pytest.mark.parametrize("definition", ["NXxas_raw", "nxxas", "NXXAS"])
def test_definitions_of_raw_counts_spelled_otherwise(path, definition):
    with h5py.File(raw_counts(path, "Transmission"), "a") as file:
        del file["entry/definition"]
        file["entry/definition"] = definition
    assert holds_mu(read_spectrum(path))


def test_an_intensity_of_nxxas_is_a_spectrum(path):
    with h5py.File(scan(path, "intensity", {"intensity": MU}, definition="NXxas"), "a") as file:
        group(file["entry"], "element", "NXatom")["symbol"] = "Cu"
    found = read_spectrum(path)
    assert holds_mu(found)
    assert found.element == 29


def test_one_point_without_counts_is_left_out(path):
    with h5py.File(raw_counts(path, "Transmission"), "a") as file:
        file["entry/instrument/absorbed_beam/data"][50] = 0.0
    found = read_spectrum(path)
    np.testing.assert_array_equal(found.energies, np.delete(ENERGIES, 50))
    assert dict(found.choices)["points without counts were left out"].startswith("a.nxs: 1 of 300")


@pytest.mark.parametrize("attribute", [True, False])
def test_energies_stored_as_integers(path, attribute):
    with h5py.File(scan(path, "mu", {"mu": MU}, (ENERGIES * 10 - 5).astype(int)), "a") as file:
        data = file["entry/data"]
        if attribute:
            data["energy"].attrs["scaling_factor"], data["energy"].attrs["offset"] = 0.1, 5
        else:
            data["energy_scaling_factor"], data["energy_offset"] = 0.1, 5
    found = read_spectrum(path)
    np.testing.assert_allclose(found.energies, ENERGIES, rtol=1e-12)
    np.testing.assert_array_equal(found.intensities, MU)


def test_an_encoders_energies(path):
    with h5py.File(path, "w") as file:
        data = group(file, "entry/data", "NXdata", signal="mu", axes="energy_enc")
        data["energy_enc"], data["mu"] = ENERGIES / 1000.0, MU
    with h5py.File(path, "a") as file:
        file["entry/data/energy_enc"].attrs["units"] = "keV"
    np.testing.assert_allclose(read_spectrum(path).energies, ENERGIES, rtol=1e-12)


def test_what_a_group_without_energies_holds_is_listed(path):
    with h5py.File(path, "w") as file:
        data = group(file, "entry/data", "NXdata", signal="mu", axes="bragg")
        data["bragg"], data["mu"] = ENERGIES / 1000.0, np.stack([MU, MU])
    with pytest.raises(FormatError, match=r"received entry/data: bragg \(300\), mu \(2 × 300\)"):
        read_spectrum(path)


@pytest.mark.parametrize(
    ("title", "units", "unit"),
    [("mu", "a.u.", "arbitrary"), ("mu", "Mbarn", "Mbarn"), ("norm", "", "normalised"), ("flat", "", "normalised")],
)
def test_units_of_signals(path, title, units, unit):
    with h5py.File(scan(path, title, {title: MU}), "a") as file:
        file["entry/data"][title].attrs["units"] = units
    assert read_spectrum(path).unit == unit


def test_a_missing_file(path):
    with pytest.raises(FormatError, match=r"a\.nxs: cannot be read: no such file or directory"):
        read_spectrum(path)


def test_other_endings_of_hdf5(path):
    scan(path, "mu", {"mu": MU})
    assert holds_mu(read_spectrum(path.rename(path.with_suffix(".h5"))))


def test_an_entry_is_read_by_its_name_and_all_are_listed(path):
    with h5py.File(path, "w") as file:
        for k in range(3):
            entry = group(file, f"scan{k}", "NXentry")
            data = group(entry, "data", "NXdata", signal="data", axes="energy")
            data["energy"], data["data"] = ENERGIES, MU + k
        group(group(file, "other", "NXentry"), "data", "NXdata")["image"] = np.zeros((3, 4))
    assert nexus_entries.entries(path) == ["scan0", "scan1", "scan2"]
    found = read_spectrum(path.with_name("a.nxs:scan2"))
    np.testing.assert_array_equal(found.intensities, MU + 2)
    assert (found.source, found.choices) == ("a.nxs:scan2", ())
    assert [own.name for own in measured_files([path])] == ["a.nxs:scan0", "a.nxs:scan1", "a.nxs:scan2"]
    with pytest.raises(FormatError, match=r"a\.nxs:gone: expected an entry gone, received .*scan0"):
        read_spectrum(path.with_name("a.nxs:gone"))
