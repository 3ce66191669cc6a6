"""Exported predictions: what the files hold, and that other programs and we ourselves can read them."""

import gzip
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support.builders import contents, refused, run, table, write, write_xyz

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import athena, nexus, nexus_writer, read_spectrum, xdi
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.export import FORMATS, file_names, predicted_spectra
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import open_sources
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore

ENERGIES = np.linspace(7092.0, 7172.0, 41)
PREDICTED = PredictedSpectrum(
    site="A(1+)",
    formula="FeO",
    element="Fe",
    edge="K",
    kind="xanes",
    energies=ENERGIES,
    e0=7112.0,
    mean=np.arange(41.0) / 7.0,
    std=np.full(41, 0.01),
    reference=None,
    treatment='{"name":"arctangent"}',
    unit="Mbarn",
    provenance={"model": "abc", "draws": "100"},
)


@pytest.fixture(scope="module")
def predictions(model, small, tmp_path_factory):
    """Return the path of predictions of the small set, with references; not to be changed."""
    path = tmp_path_factory.mktemp("predicted") / "p.h5"
    with open_sources([small / "small.h5"]) as source:
        predict(Model.open(model), source, path, PredictOptions(draws=4))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_one_file_per_site_is_written_and_read_back(predictions, tmp_path, kind):
    assert run("export", predictions, "--format", kind, "-o", tmp_path / "out") == 0
    suffix = FORMATS[kind][1]
    with PredictionStore(predictions) as store:
        expected = list(predicted_spectra(store))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{e.site}{suffix}" for e in expected}
    for one in expected[::17]:
        path = tmp_path / "out" / f"{one.site}{suffix}"
        if kind == "athena":
            np.testing.assert_allclose(np.loadtxt(path)[:, 2], one.std, rtol=1e-8)
        found = read_spectrum(path)
        assert found.e_edge == one.e0
        np.testing.assert_allclose(found.energies, one.energies, rtol=1e-8)
        np.testing.assert_allclose(found.intensities, one.mean, rtol=1e-8)


def test_exported_spectra_carry_references_provenance_and_flags(predictions):
    with PredictionStore(predictions) as store:
        every = list(predicted_spectra(store))
        assert [e.site for e in every] == store.sites.name
        one, row = every[7], 7
        np.testing.assert_array_equal(one.mean, store.read("mean", row))
        np.testing.assert_array_equal(one.std, store.read("std", row))
        np.testing.assert_array_equal(one.reference, store.read("reference", row))
        np.testing.assert_allclose(one.energies, store.energies + store.read("sites/e0")[row])
        assert one.header["model"] == store.attribute("model_digest")
        assert (one.header["draws"], one.header["treatment"]) == ("4", "synthetic")
        flagged = [e.distrust for e in every]
        assert flagged == store.distrust
        assert all(("not_to_be_trusted" in e.header) == bool(e.distrust) for e in every)


def test_xdi_has_the_required_items_and_invents_none(tmp_path):
    xdi.write(tmp_path / "a.xdi", replace(PREDICTED, reference=PREDICTED.mean, distrust="far from\nthe training sites"))
    lines = (tmp_path / "a.xdi").read_text().splitlines()
    assert lines[0].startswith("# XDI/1.0 xanes-hpc/")
    items = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    assert (items["Element.symbol"], items["Element.edge"]) == ("Fe", "K")
    columns = [items[f"Column.{n}"] for n in range(1, 7)]
    assert columns == ["energy eV", "mu", "mu_std", "mu_low95", "mu_high95", "reference"]
    assert items["Scan.edge_energy"] == "7112 eV"
    assert items["Xanes_hpc.not_to_be_trusted"] == "far from the training sites"
    assert "Mono.d_spacing" not in items
    assert any("No Mono.d_spacing is given" in line for line in lines[lines.index("# ///") : lines.index("#---")])


@pytest.mark.parametrize(
    ("change", "edge", "label"),
    [
        ({"edge": "L23"}, "L", "mu"),
        ({"edge": "M45"}, "M", "mu"),
        ({"unit": "normalised"}, "K", "norm"),
        ({"kind": "xes"}, "K", "xes"),
    ],
)
def test_xdi_names_edges_and_columns_as_its_dictionary_does(tmp_path, change, edge, label):
    xdi.write(tmp_path / "a.xdi", replace(PREDICTED, **change))
    text = (tmp_path / "a.xdi").read_text()
    assert f"# Element.edge: {edge}\n" in text
    assert f"# Column.2: {label}\n" in text
    found = read_spectrum(tmp_path / "a.xdi")
    assert (found.kind, found.unit) == (
        "xes" if label == "xes" else "xanes",
        "normalised" if label == "norm" else "arbitrary",
    )
    assert (found.e_edge, found.absolute) == (7112.0, True)


def test_a_site_whose_edge_energy_is_unknown_keeps_relative_energies(tmp_path):
    relative = replace(PREDICTED, e0=float("nan"), energies=ENERGIES - 7112.0)
    for kind, (write_, suffix) in FORMATS.items():
        write_(tmp_path / f"{kind}{suffix}", relative)
    text = (tmp_path / "xdi.xdi").read_text()
    assert "Scan.edge_energy" not in text
    assert "relative to the edge, whose energy is not known" in text
    np.testing.assert_allclose(read_spectrum(tmp_path / "xdi.xdi").energies, relative.energies)
    assert (tmp_path / "csv.csv").read_text().splitlines()[1] == "energy_ev_relative_to_e0,mean,std,low95,high95"


def test_nexus_has_what_its_definition_requires(tmp_path, monkeypatch):
    """It is NXxasproc, with NXdata for plotting."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    nexus_writer.write(tmp_path / "a.nxs", replace(PREDICTED, reference=PREDICTED.mean))
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file[file.attrs["default"]]
        classes = {"": "NXentry", "sample": "NXsample", "XAS_data_reduction": "NXprocess", "data": "NXdata"}
        assert {n: (entry[n] if n else entry).attrs["NX_class"] for n in classes} == classes
        assert entry["XAS_data_reduction/parameters"].attrs["NX_class"] == "NXparameters"
        texts = (
            "title",
            "definition",
            "sample/name",
            *(f"XAS_data_reduction/{n}" for n in ("program", "version", "date")),
        )
        found = {name: entry[name][()].decode() for name in texts}
        assert found["definition"] == "NXxasproc"
        assert found["sample/name"] == "A(1+)"
        assert found["XAS_data_reduction/date"] == "2023-11-14T22:13:20+00:00"
        data = entry["data"]
        assert (data.attrs["signal"], list(data.attrs["axes"])) == ("data", ["energy"])
        np.testing.assert_array_equal(data["energy"], ENERGIES)
        np.testing.assert_array_equal(data["data"], PREDICTED.mean)
        np.testing.assert_array_equal(data["data_errors"], PREDICTED.std)
        np.testing.assert_array_equal(data["reference"], PREDICTED.mean)
        assert (data["energy"].attrs["units"], data["data"].attrs["units"]) == ("eV", "Mbarn")


def test_larch_reads_xdi_and_columns(tmp_path):
    larch_io = pytest.importorskip("larch.io", reason="Larch is not installed")
    for kind in ("xdi", "athena"):
        FORMATS[kind][0](tmp_path / f"a{FORMATS[kind][1]}", PREDICTED)
    found = larch_io.read_xdi(str(tmp_path / "a.xdi"))
    assert (found.element, found.edge, found.error_message.strip()) == ("Fe", "K", "")
    np.testing.assert_allclose(found.energy, ENERGIES)
    np.testing.assert_allclose(found.mu, PREDICTED.mean, rtol=1e-8)
    np.testing.assert_allclose(found.mu_std, PREDICTED.std)
    columns = larch_io.read_ascii(str(tmp_path / "a.xmu"))
    assert columns.array_labels == ["energy", "xmu", "xmu_std", "xmu_low95", "xmu_high95"]
    np.testing.assert_allclose(columns.xmu, PREDICTED.mean, rtol=1e-8)


def test_an_athena_project_is_read_through_larch(tmp_path):
    larch_io = pytest.importorskip("larch.io", reason="Larch is not installed")
    from larch import Group

    energies = np.concatenate([np.arange(6900.0, 7090.0, 5.0), np.arange(7090.0, 7900.0, 0.5)])
    mu = 1.0 + np.arctan(energies - 7112.0)
    project = larch_io.create_athena(str(tmp_path / "a.prj"))
    project.add_group(Group(energy=energies, mu=mu, filename="one", label="one", datatype="xas"))
    project.save()
    found = read_spectrum(tmp_path / "a.prj")
    np.testing.assert_allclose(found.energies, energies)
    np.testing.assert_allclose(found.intensities, mu)
    assert found.absolute
    project.add_group(Group(energy=energies, mu=mu, filename="two", label="two", datatype="xas"))
    project.save()
    with pytest.raises(FormatError, match=r"a\.prj: expected .* one spectrum, received 2 spectra: one, two"):
        read_spectrum(tmp_path / "a.prj")
    assert athena.read_project(tmp_path / "a.prj", "two").source == "a.prj"
    with pytest.raises(FormatError, match="expected spectrum 'three', received 2 spectra: one, two"):
        athena.read_project(tmp_path / "a.prj", "three")
    for label in ("two", "2"):
        assert holds(read_spectrum(tmp_path / f"a.prj:{label}"), energies, mu)
    with pytest.raises(FormatError, match="cannot be read as an Athena project"):
        read_spectrum(write(tmp_path / "b.prj", "no project"))


def holds(found, energies, mu):
    np.testing.assert_allclose(found.energies, energies, atol=1e-6)
    np.testing.assert_allclose(found.intensities, mu, atol=1e-6)
    return True


def test_a_project_moves_its_spectra_and_knows_their_edge(tmp_path):
    larch_io = pytest.importorskip("larch.io", reason="Larch is not installed")
    from larch import Group

    energies = np.arange(8930.0, 9080.0, 0.5)
    mu = 1.0 + np.arctan(energies - 8979.0)
    project = larch_io.create_athena(str(tmp_path / "a.prj"))
    moved = Group(energy=energies + 4.4, mu=mu, filename="foil", label="foil", datatype="xas")
    moved.energy_shift = -4.4
    project.add_group(moved)
    project.save()
    found = read_spectrum(tmp_path / "a.prj")
    assert holds(found, energies, mu)
    assert found.e_edge == pytest.approx(8979.0, abs=1.0)
    assert (found.element, found.edge) == (29, "K")
    assert found.choices == (("spectra were moved by the shift of their project", "a.prj: -4.4 eV"),)


def test_import_finds_projects_among_spectra(tmp_path):
    larch_io = pytest.importorskip("larch.io", reason="Larch is not installed")
    from larch import Group

    energies = np.arange(8930.0, 9080.0, 0.5)
    (tmp_path / "mu").mkdir()
    project = larch_io.create_athena(str(tmp_path / "mu" / "A.prj"))
    mu = 1.0 + np.arctan(energies - 8979.0)
    project.add_group(Group(energy=energies, mu=mu, filename="foil", label="foil", datatype="xas"))
    project.save()
    write(tmp_path / "A.xyz", "2\n\nCu 0 0 0\nO 0 0 1.9\n")
    assert run("import", tmp_path / "A.xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5") == 0


CHI = """# Athena project file -- Demeter version 0.9.21

$old_group = 'oesdv';
@args = ('datatype', 'chi', 'is_chi', '1', 'is_xmu', '0', 'label', 'c');
@x = ({x});
@y = ({y});
[record] #

@journal = ();

1;
"""


def test_chi_of_a_project_is_refused(tmp_path):
    pytest.importorskip("larch.io", reason="Larch is not installed")
    k = np.arange(0.0, 16.0, 0.05)
    x, y = (",".join(f"'{value}'" for value in values) for values in (k, np.sin(4 * k)))
    (tmp_path / "a.prj").write_bytes(gzip.compress(CHI.format(x=x, y=y).encode()))
    with pytest.raises(FormatError, match=r"a\.prj: expected a XANES spectrum, but c is chi\(k\)"):
        read_spectrum(tmp_path / "a.prj")


def test_an_athena_project_needs_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"reading an Athena project needs larch.*pip install 'xanes-hpc\[larch\]'"):
        read_spectrum(write(tmp_path / "a.prj", "x"))


MEASURED = """# XDI/1.0 GSE/1.0
# Column.1: energy keV
# Column.2: i0
# Column.3: {detector}
# Element.symbol: Fe
# Element.edge: K
# Mono.d_spacing: 3.13555
# Scan.edge_energy: 7.112 keV
# ///
# Element.symbol: not this one
#---
# energy i0 {detector}
"""


@pytest.mark.parametrize(("detector", "expected"), [("itrans", np.log(2.0 / 0.5)), ("ifluor", 0.25)])
def test_xdi_of_a_beamline(tmp_path, detector, expected):
    rows = np.column_stack([ENERGIES / 1000.0, np.full(41, 2.0), np.full(41, 0.5)])
    path = write(tmp_path / "a.txt", MEASURED.format(detector=detector) + table(rows))
    found = read_spectrum(path)  # recognised by its first line
    np.testing.assert_allclose(found.energies, ENERGIES, atol=1e-2)
    np.testing.assert_allclose(found.intensities, expected)
    assert (found.e_edge, found.absolute, found.kind) == (7112.0, True, "xanes")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Column.1: energy keV",
            "Column.1: temperature",
            r"expected two columns, energy and intensity, received 3 \(temperature, i0, itrans\)",
        ),
        ("Column.1: energy keV", "Column.1: energy joule", "expected energies in eV, .*, received 'joule'"),
        (
            "Column.3: itrans",
            "Column.3: temperature",
            r"expected two columns, energy and intensity, received 3 \(energy, i0, temperature\); `columns`",
        ),
    ],
)
def test_an_xdi_file_without_a_spectrum(tmp_path, old, new, message):
    rows = np.column_stack([ENERGIES / 1000.0, np.full(41, 2.0), np.full(41, 0.5)])
    text = MEASURED.format(detector="itrans").replace(old, new) + table(rows)
    with pytest.raises(FormatError, match=message) as error:
        read_spectrum(write(tmp_path / "a.xdi", text))
    assert str(error.value).startswith(str(tmp_path / "a.xdi"))


def test_an_xdi_file_without_its_first_line_is_read_by_its_header(tmp_path):
    rows = np.column_stack([ENERGIES / 1000.0, np.full(41, 2.0), np.full(41, 0.5)])
    text = MEASURED.format(detector="itrans") + table(rows)
    whole = read_spectrum(write(tmp_path / "a.xdi", text))
    found = read_spectrum(write(tmp_path / "b.xdi", text.replace("# XDI/1.0 GSE/1.0", "# something else")))
    np.testing.assert_array_equal(found.energies, whole.energies)
    np.testing.assert_array_equal(found.intensities, whole.intensities)
    assert (found.e_edge, found.element, found.edge) == (whole.e_edge, whole.element, whole.edge)
    told = dict(found.choices)["files called .xdi without the first line # XDI/1.0 were read"]
    assert told == "b.xdi"


def test_importing_an_xdi_file_without_energies_ends_with_one_line(tmp_path, capsys):
    write_xyz(tmp_path / "in" / "a.xyz")
    rows = np.column_stack([ENERGIES, ENERGIES])
    write(tmp_path / "mu" / "a.xdi", "# XDI/1.0\n# Column.1: angle deg\n# Column.2: xmu\n#---\n" + table(rows))
    line = refused(capsys, tmp_path, "import", tmp_path / "in", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5")
    assert (
        "a.xdi: expected energies, received the column angle; to convert angles, give the monochromator's --d-spacing"
        in line
    )


@pytest.mark.parametrize("suffix", [".xdi", ".nxs"])
def test_exported_spectra_can_be_imported(predictions, small, tmp_path, suffix):
    kind = next(name for name, (_, own) in FORMATS.items() if own == suffix)
    assert run("export", predictions, "--format", kind, "-o", tmp_path / "mu") == 0
    assert run("import", small / "structures", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5") == 0
    with StructureStore(tmp_path / "s.h5") as store, PredictionStore(predictions) as predicted:
        found = {p.spectrum.source: p for p in read_spectra(store.file, list(range(store.n_spectra)))}
        name = predicted.sites.name[3]
        np.testing.assert_allclose(found[f"{name}{suffix}"].spectrum.intensities, predicted.read("mean", 3), rtol=1e-8)
        np.testing.assert_allclose(found[f"{name}{suffix}"].relative, predicted.energies, atol=1e-4)


def broken(file):
    """Fill a NeXus file without NXdata."""
    file.create_group("entry").attrs["NX_class"] = "NXentry"


def no_signal(file):
    group = file.create_group("data")
    group.attrs["NX_class"] = "NXdata"
    group["energy"] = ENERGIES


@pytest.mark.parametrize("fill", [broken, no_signal])
def test_a_nexus_file_without_a_spectrum(tmp_path, fill):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        fill(file)
    with pytest.raises(FormatError, match=r"a\.nxs: expected an NXdata group"):
        read_spectrum(tmp_path / "a.nxs")


def test_data_in_other_files_are_not_read(tmp_path):
    """External storage, links to other files and virtual datasets could disclose another file's contents."""
    write(tmp_path / "secret.dat", "secret" * 20)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = np.arange(30.0)

    def stored(group):
        group.create_dataset("data", (30,), "u1", external=[(str(tmp_path / "secret.dat"), 0, 30)])

    def linked(group):
        group["data"] = h5py.ExternalLink("other.h5", "values")

    def linked_twice(group):
        group.file["away"] = h5py.ExternalLink("other.h5", "/")
        group["data"] = h5py.SoftLink("/away/values")

    def virtual(group):
        layout = h5py.VirtualLayout((30,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "values", (30,))
        group.create_virtual_dataset("data", layout)

    def large(group):
        group.create_dataset("data", (2_000_000,), "f8", chunks=(1000,), compression="gzip")
        del group["energy"]
        group.create_dataset("energy", (2_000_000,), "f8", chunks=(1000,), compression="gzip")

    for k, fill in enumerate((stored, linked, linked_twice, virtual, large)):
        path = tmp_path / f"{k}.nxs"
        with h5py.File(path, "w") as file:
            group = file.create_group("entry/data")
            group.attrs["NX_class"], group.attrs["signal"] = "NXdata", "data"
            group["energy"] = np.arange(7100.0, 7130.0)
            fill(group)
        with pytest.raises(FormatError, match=r"expected data in this file|1,000,000 points or fewer"):
            nexus.read(path)


def test_links_within_a_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["entry/instrument/mu"] = np.arange(30.0)
        group = file.create_group("entry/data")
        group.attrs["NX_class"], group.attrs["signal"] = "NXdata", "data"
        group["energy"] = np.arange(7100.0, 7130.0)
        group["data"] = h5py.SoftLink("/entry/instrument/mu")
    np.testing.assert_array_equal(nexus.read(tmp_path / "a.nxs").intensities, np.arange(30.0))


def test_a_text_file_is_not_nexus(tmp_path):
    with pytest.raises(FormatError, match=r"a\.nxs: cannot be read as NeXus"):
        read_spectrum(write(tmp_path / "a.nxs", "text"))


def test_outputs_that_cannot_be_written_are_refused(predictions, tmp_path, capsys):
    out = tmp_path / "out"
    assert "format 'pdf': expected xdi, nexus, athena, csv" in refused(
        capsys, tmp_path, "export", predictions, "--format", "pdf", "-o", out
    )
    write(out / "mine.xdi", "mine")
    assert "already holds .xdi files" in refused(capsys, tmp_path, "export", predictions, "-o", out)
    assert run("export", predictions, "--format", "csv", "-o", out) == 0  # files of another format stay
    assert run("export", predictions, "-o", out, "--overwrite") == 0
    assert (out / "mine.xdi").read_text() == "mine"
    write(tmp_path / "file", "x")
    line = refused(capsys, tmp_path, "export", predictions, "-o", tmp_path / "file")
    assert "file: expected a folder for .xdi files, received a file" in line
    assert "no such folder" in refused(capsys, tmp_path, "export", predictions, "-o", tmp_path / "no" / "out")


def test_a_failure_in_the_middle_leaves_nothing(predictions, tmp_path, capsys, monkeypatch):
    def full(path, predicted, count=[]):  # noqa: B006
        count.append(path)
        if len(count) > 3:
            raise OSError(28, "full", str(path))
        path.write_text("x")

    monkeypatch.setitem(FORMATS, "xdi", (full, ".xdi"))
    before = contents(tmp_path)
    assert "no space left" in refused(capsys, tmp_path, "export", predictions, "-o", tmp_path / "out")
    assert contents(tmp_path) == before
    assert list(tmp_path.iterdir()) == []


def test_names_stay_apart_on_every_file_system():
    long = "x" * 300
    sites = ["Fe", "FE", "fe", "FE~2", "a/b", "a:b", "", f"{long}1", f"{long}2", "\u00e9", "e\u0301"]
    names = file_names(sites)
    assert names[:7] == ["Fe", "FE~2", "fe~3", "FE~2~2", "a_b", "a_b~2", "site"]
    assert len({name.casefold() for name in names}) == len(sites)
    assert max(len(name.encode()) for name in names) <= 210
    assert names[9:] == ["\u00e9", "e\u0301~2"]


def test_a_folder_in_the_place_of_a_file(predictions, tmp_path, capsys):
    (tmp_path / "out" / "a.xdi").mkdir(parents=True)
    line = refused(capsys, tmp_path, "export", predictions, "-o", tmp_path / "out", "--overwrite")
    assert line.startswith(f"{tmp_path}/out/a.xdi: is a folder")
