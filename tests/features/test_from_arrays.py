"""``xanes-hpc import`` of a .npz file: features and spectra without structures, into a standalone store."""

import json
import time
from functools import partial

import h5py
import numpy as np
import pytest
from support import stored
from support.builders import ERROR, OLD, feature_arrays, old_store, refused, run, write, write_npz, write_xyz

import xanes_hpc_schema
from xanes_hpc import descriptors
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.models.training_sites import code
from xanes_hpc.stores import spectra
from xanes_hpc.stores.features import FeatureStore, Layout
from xanes_hpc.stores.site_spectra import choose_spectra

N_FEATURES, N_ENERGIES = 49, 16
OPTIONS = ("--element", "V", "--preset", "xanesnet-49")
RANGE = "--energies=-15:60"


@pytest.fixture
def save(tmp_path):
    """Writes ``set_v.npz``."""
    return partial(write_npz, tmp_path / "set_v.npz")


@pytest.fixture
def imported(tmp_path, capsys):
    """Runs an import and returns its summary and the store's path."""

    def import_(source, *options):
        capsys.readouterr()
        output = tmp_path / "v.features.h5"
        code = run("import", source, "--json", *OPTIONS, *options, "-o", output)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert printed.err == f"Next: xanes-hpc train {output} --group cluster\n"
        return json.loads(printed.out), output

    return import_


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8"])
def test_round_trip(save, imported, dtype, compressed):
    made = feature_arrays(dtype=dtype)
    summary, path = imported(save(made, compressed), RANGE)
    assert (summary["sites"], summary["spectra"], summary["features"], summary["energies"]) == (6, 6, 49, N_ENERGIES)
    assert (summary["e0"], summary["e0_source"], summary["unused_arrays"]) == (5465.0, "xraydb", [])
    with FeatureStore(path) as store:
        assert store.has_spectra
        features = store.read(0, 6)
        assert features.dtype == np.float64
        np.testing.assert_array_equal(features, made["x"])
        rows, table = choose_spectra(store, store.n_sites, "xanes", None)
        assert rows.tolist() == table.site.tolist() == list(range(6))
        for row, placed in enumerate(spectra.read_spectra(store.file, rows.tolist())):
            np.testing.assert_array_equal(placed.relative, np.linspace(-15, 60, N_ENERGIES))
            np.testing.assert_array_equal(placed.spectrum.intensities, made["y"][row])
            assert (placed.e0, placed.e0_source, placed.energy_origin, placed.shift) == (5465.0, "xraydb", "e0", 0.0)
            assert (placed.spectrum.unit, placed.spectrum.source) == ("arbitrary", "set_v.npz")


def test_store_matches_its_schema(save, imported):
    _, path = imported(save(), RANGE)
    descriptor, schema = descriptors.load("wacsf", "xanesnet-49"), xanes_hpc_schema.load("features")
    with h5py.File(path) as file:
        lengths = xanes_hpc_schema.validate(file, "features")
        found = []
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
        own = {name for name in schema["datasets"] if not name.startswith("graph/")}
        assert set(found) == own - {"sites/formula", "without_features"}
        expected = {"format", "schema_version", "creator", "digest_attributes", "descriptor_hash"}
        assert set(file.attrs) == expected
        assert file["features"].chunks == (Layout(6, N_FEATURES, np.dtype("f8")).chunk_rows, N_FEATURES)
        assert all(file[name].fletcher32 for name in found if name != "descriptor")
    n_points = 6 * N_ENERGIES
    assert lengths == {"n_sites": 6, "n_features": 49, "n_spectra": 6, "n_points": n_points}
    with FeatureStore(path) as store:
        assert store.attribute("descriptor_hash") == descriptor.hash
        assert store.description == descriptor.describe()
        assert store.file["labels"].asstr()[:].tolist() == descriptor.labels
        sites = store.sites
    assert sites.name == [f"set-v-{row:05d}" for row in range(6)]
    assert set(sites.structure) == set(sites.atom) == {-1}
    assert (set(sites.element), set(sites.edge), set(sites.weight)) == ({23}, {"K"}, {1.0})


def test_sites_do_not_share_a_code(save, imported):
    """Text before a ``_`` would count as a CSD code that all sites share."""
    _, path = imported(save(), RANGE)
    with FeatureStore(path) as store:
        assert len({code(name) for name in store.sites.name}) == 6


def test_many_sites_are_written_in_blocks(save, imported, monkeypatch):
    monkeypatch.setattr("xanes_hpc.stores.standalone.ROWS_AT_ONCE", 7)
    made = feature_arrays(40)
    _, path = imported(save(made), RANGE)
    with FeatureStore(path) as store:
        assert store.file["spectra/offsets"][:].tolist() == list(range(0, 41 * N_ENERGIES, N_ENERGIES))
        assert store.file["spectra/site"][:].tolist() == list(range(40))
        np.testing.assert_array_equal(store.file["spectra/intensities"][:], made["y"].ravel())
        np.testing.assert_array_equal(store.file["spectra/energies"][-N_ENERGIES:], np.linspace(-15, 60, N_ENERGIES))


def test_same_file_gives_the_same_store(save, imported):
    """HDF5 writes the second in which a file is made, so both are made within one."""
    source = save()
    for _ in range(20):
        stores, started = [], int(time.time())
        for _ in range(2):
            _, path = imported(source, RANGE)
            stores.append(path.read_bytes())
            path.unlink()
        if int(time.time()) == started:
            break
    assert stores[0] == stores[1]


def test_features_have_the_descriptor_s_type(save, tmp_path):
    description = 'name = "wacsf"\ncutoff = 6.0\ndtype = "float32"\n'
    toml = write(tmp_path / "d.toml", description)
    descriptor = descriptors.read_toml(toml)
    x = np.linspace(0, 1, 3 * descriptor.n_features).reshape(3, -1)
    source = save({"x": x, "y": np.ones((3, 8))})
    assert run("import", source, "--element", "v", "--descriptor", toml, RANGE, "-o", tmp_path / "f.h5") == 0
    with FeatureStore(tmp_path / "f.h5") as store:
        features = store.read(0, 3)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, x.astype(np.float32))


def first_spectrum(path):
    with FeatureStore(path) as store:
        return next(spectra.read_spectra(store.file, [0]))


def test_energies_of_the_file(save, imported):
    energies = np.linspace(-10, 30, N_ENERGIES) ** 3 / 900
    _, path = imported(save(feature_arrays(e=energies)))
    placed = first_spectrum(path)
    np.testing.assert_array_equal(placed.relative, energies)
    assert placed.energy_origin == "e0"


def test_absolute_energies_of_the_file(save, imported):
    energies = np.linspace(5440, 5500, N_ENERGIES)
    summary, path = imported(save(feature_arrays(e=energies)), "--shift", 2.5)
    placed = first_spectrum(path)
    assert (placed.energy_origin, placed.shift) == ("absolute", 2.5)
    np.testing.assert_array_equal(placed.spectrum.energies, energies)
    np.testing.assert_allclose(placed.relative, energies + 2.5 - 5465.0)
    assert (summary["energy_start"], summary["energy_stop"]) == (-22.5, 37.5)


def test_given_energies_take_precedence_over_those_of_the_file(save, imported):
    summary, path = imported(save(feature_arrays(e=np.array(["not"]), names=np.arange(6))), RANGE)
    assert first_spectrum(path).relative[0] == -15.0
    assert summary["unused_arrays"] == ["e", "names"]


def test_given_options_are_stored(save, imported):
    options = ("--edge", "l3", "--e0", 512.5, "--treatment", "normalised", RANGE)
    summary, path = imported(save(), *options)
    placed = first_spectrum(path)
    assert (placed.e0, placed.e0_source, placed.spectrum.treatment) == (512.5, "given", '{"name":"normalised"}')
    assert summary["edge"] == "L3"
    with FeatureStore(path) as store:
        assert set(store.sites.edge) == {"L3"}


def test_info_describes_and_verifies_the_store(save, imported, capsys):
    _, path = imported(save(), RANGE)
    values = inform(path)
    assert values["absorbers"] == {"V K": 6}
    assert values["spectra"] == {
        "number": 6,
        "kinds": {"xanes": 6},
        "treatments": {"unstated": 6},
        "e0_sources": {"xraydb": 6},
    }
    assert "source" not in values
    assert run("info", path) == run("info", "--verify", path) == 0
    assert "V K" in capsys.readouterr().out
    stored.flip_a_byte(path, "spectra/intensities")
    assert run("info", "--verify", path) == 2
    assert "spectra/intensities" in capsys.readouterr().err


def test_printed_summary(save, tmp_path, capsys):
    assert run("import", save(feature_arrays(names=np.arange(6))), *OPTIONS, RANGE, "-o", tmp_path / "f.h5") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "sites 6 (V K) features 49 per site (wacsf, float64)" in out
    assert f"spectra 6 with {N_ENERGIES} energies, -15 to 60 eV from e0 = 5465 eV (from XrayDB)" in out
    assert "treatment unstated" in out
    assert "other arrays names (not used)" in out


def test_a_folder_name_may_end_in_npz(tmp_path):
    write_xyz(tmp_path / "set.npz" / "a.xyz")
    assert run("import", tmp_path / "set.npz", "-o", tmp_path / "s.h5") == 0


def test_existing_output_and_the_input_as_output_are_refused(save, tmp_path, capsys):
    path, output = save(), old_store(tmp_path / "f.h5")
    arguments = ("import", path, *OPTIONS, RANGE, "-o")
    line = refused(capsys, tmp_path, *arguments, output)
    assert line == f"{output}: already exists; name another output, or replace it with --overwrite"
    line = refused(capsys, tmp_path, *arguments, path, "--overwrite")
    assert line == f"{path}: is one of the inputs; name another output"
    assert run(*arguments, output, "--overwrite") == 0
    assert inform(output)["kind"] == "features"


def test_nothing_is_left_if_writing_fails(save, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xanes_hpc.stores.standalone.append_spectra", fail)
    path, output = save(), old_store(tmp_path / "f.h5")
    assert run("import", path, *OPTIONS, RANGE, "-o", output, "--overwrite") == 2
    assert capsys.readouterr().err == f"{ERROR}{output}: cannot be written: no space left on the disk\n"
    assert {p.name for p in tmp_path.iterdir()} == {"set_v.npz", "f.h5"}
    assert output.read_bytes() == OLD
