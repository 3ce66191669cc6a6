"""The published sets, where they are there: their real names, headers and traps."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from support import pair_lists, reference
from support.builders import run as call

from xanes_hpc import descriptors
from xanes_hpc.formats import read_spectrum, read_structures
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.spectra.recipe import BROADENING_PRESETS, BroadeningConfig, Recipe
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import choose_spectra, gridded
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.sites import SiteBatch


def unpack(archive: Path, into: Path, at_most: int | None = None) -> Path:
    with tarfile.open(archive) as packed:
        members = sorted((m for m in packed.getmembers() if m.isfile()), key=lambda m: m.name)[:at_most]
        packed.extractall(into, members, filter="data")
    return into


@pytest.fixture(scope="module")
def iron(published, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("iron")
    for name in ("xyz", "xanes_raw", "xanes_convolved"):
        unpack(published / "fe_k_edge" / f"{name}.tar.xz", folder, at_most=150)
    return folder


def test_iron_with_both_spectra(iron, tmp_path):
    options = ImportOptions(spectra=(iron / "xanes_raw", iron / "xanes_convolved"))
    summary = import_structures([iron / "xyz"], tmp_path / "fe.h5", options)
    assert (summary.structures, summary.sites, summary.spectra, summary.skipped_count) == (150, 150, 300, 0)
    assert summary.e0_sources == {"file": 150, "xraydb": 150}
    assert summary.treatments == {"none": 150, '{"name":"unstated"}': 150}
    with StructureStore(tmp_path / "fe.h5") as store:
        assert set(store.sites.atom) == {0}
        assert set(store.sites.element) == {26}
        assert set(store.file["spectra/e0"][:]) == {7112.0}
        charges = store.file["structures/properties/charge"][:]
        names = store.sites.name
    assert charges[names.index("ABAXIK_C11H21FeIN3O2(1+)")] == 1.0


@pytest.fixture(scope="module")
def iron_complexes(iron) -> list[Atoms]:
    structures = [next(read_structures(path)) for path in sorted((iron / "xyz").iterdir())[:150:30]]
    return [Atoms(s.numbers, s.positions) for s in structures]


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_features_of_real_sites_match_the_slow_reference(iron_complexes, preset):
    double, single = (descriptors.load("wacsf", preset, dtype=dtype) for dtype in ("float64", "float32"))
    expected = np.array([reference.wacsf(double.describe(), atoms, 0) for atoms in iron_complexes])
    span, sites = np.ptp(expected, axis=0), [0] * len(iron_complexes)
    features = double.transform(iron_complexes, sites)
    assert (np.abs(features - expected) <= 1e-6 * np.abs(expected) + 1e-9 * span).all()
    tiny = 1e-15 if preset == "default" else 1e-37  # its high powers of angles are next to nothing
    assert (np.abs(single.transform(iron_complexes, sites) - expected) <= 1e-4 * span + tiny).all()


@pytest.mark.parametrize("cutoff", [3.0, 6.0])
def test_neighbours_of_real_sites_are_the_same_through_bins(iron_complexes, cutoff):
    pair_lists.in_bins(SiteBatch.from_atoms(iron_complexes, "all"), cutoff)


def test_cobalt_files_give_their_own_edge(published, tmp_path):
    folder = unpack(published / "co_k_edge" / "co_k_edge.tar.xz", tmp_path)
    (raw,) = folder.rglob("xanes_raw")
    spectrum = read_spectrum(sorted(raw.iterdir())[0])
    assert (spectrum.e_edge, spectrum.absolute, spectrum.treatment, spectrum.unit) == (7709.0, True, "none", "Mbarn")


def test_the_published_broadening_of_iron_is_reproduced(iron, tmp_path):
    """Of 150 sites; all 4,079: 1e-3 of the peak at worst, 2e-6 in the mean."""
    options = ImportOptions(spectra=(iron / "xanes_raw", iron / "xanes_convolved"))
    import_structures([iron / "xyz"], tmp_path / "fe.h5", options)
    grid = Grid(np.linspace(-15.0, 60.0, 226))
    recipe = Recipe(BroadeningConfig(**BROADENING_PRESETS["published-fe"]))
    with StructureStore(tmp_path / "fe.h5") as store:
        raw, _ = choose_spectra(store, store.n_sites, "xanes", "none")
        published, _ = choose_spectra(store, store.n_sites, "xanes", "unstated")
        expected = [p.spectrum.intensities for p in read_spectra(store.file, published.tolist())]
        found, _ = gridded(store, raw, grid, store.sites, recipe)
        assert np.isfinite(store.file["spectra/e_cut"][:]).sum() == store.n_sites
    difference = np.abs(found - expected) / np.max(expected, axis=1, keepdims=True)
    assert difference.max() < 1e-3
    assert difference.mean() < 3e-6


def test_sulphur_needs_a_shift_and_the_proposed_one_works(published, tmp_path, capsys):
    folder = unpack(published / "s_k_edge" / "s_k_edge.tar.xz", tmp_path / "s")
    xyz, spectra = next(folder.rglob("xyz")), next(folder.rglob("xanes"))
    arguments = ("import", xyz, "--spectra", spectra, "-o", tmp_path / "s.h5", "--absorber", "first")
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert "lies outside the spectrum's range, 2395 to 2445 eV" in said
    shift = said.partition("--shift ")[2].split()[0]
    assert call(*arguments, "--shift", shift, "--json", tmp_path / "s.json") == 0
    assert json.loads((tmp_path / "s.json").read_text())["spectra"] >= 90


def test_vanadium_comes_as_features_without_structures(published, tmp_path):
    source, output = published / "v_k_edge" / "k_edge_v.npz", tmp_path / "v.features.h5"
    described = ("--element", "V", "--edge", "K", "--preset", "xanesnet-2022", "--energies=-15:60")
    assert call("import", source, *described, "-o", output) == 0
    with np.load(source) as arrays, FeatureStore(output) as store:
        np.testing.assert_array_equal(store.read(0, store.n_sites), arrays["x"])
        assert len(set(store.sites.name)) == store.n_sites == 1439
        rows, _ = choose_spectra(store, store.n_sites, "xanes", None)
        values, e0 = gridded(store, rows, Grid(np.linspace(-15, 60, 226)))
        np.testing.assert_array_equal(values, arrays["y"].astype(np.float32))
    assert set(e0) == {5465.0}
    assert call("info", "--verify", output) == 0


@pytest.mark.slow
def test_the_main_job_on_all_of_iron(published, tmp_path, monkeypatch):
    for name in ("xyz", "xanes_convolved"):
        unpack(published / "fe_k_edge" / f"{name}.tar.xz", tmp_path)
    monkeypatch.chdir(tmp_path)
    for step in (
        "import xyz --spectra xanes_convolved -o fe.h5",
        "featurise fe.h5 --preset xanesnet-2022",
        "train",
        "predict fe.features.h5 --model fe.model --split test -o predictions.h5",
        "evaluate predictions.h5 --json metrics.json",
    ):
        assert call(*step.split()) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["n_sites"] >= 200
    assert metrics["error_percent"]["mean"] <= 6.0
    assert metrics["leakage"]["same_formula"] == 0
