"""Broadening: kernels compared with loops and a direct convolution, recipes, and targets made with them."""

import json
import math
import shutil

import h5py
import numpy as np
import pytest
from support import reference
from support.builders import run as call
from support.trainings import FEATURES, TINY, copied, opened

from xanes_hpc import descriptors
from xanes_hpc.config.files import load_run
from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.targets import prepare_targets
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models.model import Model
from xanes_hpc.spectra.broadening import broaden, broadened_treatment, core_hole_width
from xanes_hpc.spectra.edges import place
from xanes_hpc.spectra.recipe import BroadeningConfig, Recipe
from xanes_hpc.spectra.spectrum import Spectrum, treatment_name
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc_kernels import broadening as kernels
from xanes_hpc_kernels.vector_atan import arctan

INTEGRALS = {False: reference.lorentzian_integral, True: reference.gaussian_integral}
"""Integrals of the line shapes, by ``by_gaussian``."""


def test_arctangent():
    for x in (0.0, 1e-300, 1e-9, 0.3, 1.0 - 1e-16, 1.0, 1.0 + 1e-15, 7.0, 1e9, 1e300, math.inf):
        assert arctan(x) == pytest.approx(math.atan(x), rel=1e-14, abs=0)
        assert arctan(-x) == -arctan(x)


def spectra():
    """Return three spectra of different lengths on uneven energies: offsets, energies, intensities, widths."""
    generator = np.random.default_rng(0)
    sizes = (5, 47, 20)
    energies = np.concatenate([np.sort(generator.uniform(-15.0, 60.0, n)) for n in sizes])
    return np.cumsum([0, *sizes]), energies, generator.random(energies.size), generator.uniform(0.2, 9.0, energies.size)


@pytest.mark.parametrize("by_gaussian", INTEGRALS)
@pytest.mark.parametrize("begin", [-math.inf, -3.0, 59.9, 1000.0])
@pytest.mark.parametrize("beyond", [0.1, 100.0, math.inf])
def test_line_shapes_agree_with_plain_sums(by_gaussian, begin, beyond):
    offsets, energies, intensities, widths = spectra()
    ends = np.array([energies[stop - 1] + beyond for stop in offsets[1:]])
    out = np.full(energies.size, np.nan)
    kernels.broaden(offsets, energies, intensities, np.full(3, begin), ends, widths, by_gaussian, out)
    for s in range(3):
        own = slice(offsets[s], offsets[s + 1])
        arrays = energies[own], intensities[own], begin, ends[s], widths[own]
        np.testing.assert_allclose(
            out[own], reference.broadened(*arrays, INTEGRALS[by_gaussian]), rtol=1e-11, atol=1e-13
        )


def test_summed_lorentzians_agree_with_plain_sums():
    energies = np.linspace(-15.0, 60.0, 76)
    intensities = np.random.default_rng(0).random(76)
    out = np.empty(76)
    for begin in (-20.0, -1.0, 3.3):
        arguments = np.array([begin]), np.array([150.0]), np.full(76, 1.25)
        kernels.summed_lorentzian(np.array([0, 76]), energies, intensities, *arguments, out)
        np.testing.assert_allclose(out, reference.summed(energies, intensities, begin, 150.0, 1.25), rtol=1e-11)


def placed(energies, intensities, e_cut=-5.0):
    spectrum = Spectrum(7112.0 + energies, intensities, treatment="none", e_edge=7112.0, e_cut=e_cut, source="a.txt")
    return place(spectrum, 26, "K")


def test_against_a_direct_convolution_on_a_dense_grid():
    """NumPy convolves with the line shapes rather than their integrals; then with both, one after the other."""
    step = 0.02
    energies = np.arange(-15.0, 60.0, step)
    intensities = (energies > -5.0) * (1.0 + 0.5 * np.sin(energies) * np.exp(-(((energies - 3.0) / 8.0) ** 2)))
    x = np.arange(-400.0, 400.0 + step / 2, step)
    shapes = {
        "core_hole": (0.5 * 1.25 / np.pi) / (x**2 + (0.5 * 1.25) ** 2),
        "gaussian": np.sqrt(4 * np.log(2) / np.pi) / 0.8 * np.exp(-4 * np.log(2) * (x / 0.8) ** 2),
    }
    recipe = BroadeningConfig("lorentzian", core_hole=1.25)
    (lorentzian,) = broaden([placed(energies, intensities)], [26], ["K"], recipe)
    n = x.size // 2
    beyond = 500.5 * step
    padded = np.concatenate([np.zeros(n), intensities, np.full(round(beyond / step), intensities[-1])])
    padded = np.concatenate([padded, np.zeros(n)])
    expected = np.convolve(padded, shapes["core_hole"] * step, "same")[n : n + energies.size]
    np.testing.assert_allclose(lorentzian, expected, atol=5e-4)
    both = BroadeningConfig("lorentzian", core_hole=1.25, gaussian=0.8)
    (found,) = broaden([placed(energies, intensities)], [26], ["K"], both)
    wide = np.concatenate([np.full(n, lorentzian[0]), lorentzian, np.full(n, lorentzian[-1])])
    expected = np.convolve(wide, shapes["gaussian"] * step, "same")[n : n + energies.size]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def widths_of(name, above, **parameters):
    """Return the full width at each energy above e_cut, read off a single broadened peak."""
    recipe = BroadeningConfig(name, core_hole=1.25, **parameters)
    found = []
    for energy in above:
        energies = np.array([-20.0, energy - 1e-3, energy, energy + 1e-3, 400.0])
        (out,) = broaden([placed(energies, np.array([0.0, 0.0, 1.0, 0.0, 0.0]), e_cut=0.0)], [26], ["K"], recipe)
        found.append(1e-3 / np.tan(np.pi / 2 * out[2]))  # out is 2 / pi arctan(bin / width)
    return np.array(found)


def test_widths_of_the_photoelectron():
    above = np.array([0.5, 3.0, 30.0, 120.0, 300.0])
    arctangent = [
        1.25 + 15.0 * (0.5 + math.atan(math.pi / 3 * 15.0 / 30.0 * (e / 30.0 - (30.0 / e) ** 2)) / math.pi)
        for e in above
    ]
    np.testing.assert_allclose(widths_of("arctangent", above), arctangent, rtol=1e-5)
    assert arctangent[2] == 1.25 + 7.5
    seah_dench = [1.25 + 0.7 * e * 9.0 / (9.0 + 0.7 * e) for e in above]
    np.testing.assert_allclose(widths_of("seah-dench", above, seah=0.7, gamma_max=9.0), seah_dench, rtol=1e-5)
    np.testing.assert_allclose(widths_of("lorentzian", above), 1.25, rtol=1e-5)


def test_below_the_cut_the_width_is_the_core_holes_and_nothing_contributes():
    energies = np.linspace(-15.0, 60.0, 151)
    recipe = BroadeningConfig("arctangent", core_hole=1.25)
    whole = np.ones(151)
    (found,) = broaden([placed(energies, whole, e_cut=0.0)], [26], ["K"], recipe)
    (same,) = broaden([placed(energies, np.where(energies > -1.0, 1.0, -77.0), e_cut=0.0)], [26], ["K"], recipe)
    np.testing.assert_array_equal(found, same)
    at = energies < 0
    step, beyond = 0.5, 60.0 + 500.5 * 0.5
    expected = [(math.atan(2 * (beyond - e) / 1.25) - math.atan(2 * (0 - e) / 1.25)) / math.pi for e in energies[at]]
    np.testing.assert_allclose(found[at], expected, rtol=1e-11)
    assert step == energies[1] - energies[0]


def test_default_core_hole_widths_are_those_of_xraydb():
    import xraydb

    energies, intensities = np.linspace(-15.0, 60.0, 76), np.random.default_rng(0).random(76)
    own = placed(energies, intensities)
    found = broaden([own, own], [26, 29], ["K", "L23"], BroadeningConfig("lorentzian"))
    for out, width in zip(found, (xraydb.core_width("Fe", "K"), xraydb.core_width("Cu", "L3")), strict=True):
        (expected,) = broaden([own], [26], ["K"], BroadeningConfig("lorentzian", core_hole=width))
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(SpectrumError, match=r"no core-hole width of H L3; .*`core_hole`"):
        core_hole_width(1, "L3")


def test_e_cut_is_that_of_the_file_unless_given():
    energies, intensities = np.linspace(-15.0, 60.0, 76), np.ones(76)
    own, none = placed(energies, intensities, e_cut=-2.0), placed(energies, intensities, e_cut=None)
    recipe = BroadeningConfig("lorentzian", core_hole=1.25)
    given = BroadeningConfig("lorentzian", core_hole=1.25, e_cut=-2.0)
    np.testing.assert_array_equal(*broaden([own, own], [26, 26], ["K", "K"], recipe))
    np.testing.assert_array_equal(broaden([own], [26], ["K"], recipe), broaden([none], [26], ["K"], given))
    with pytest.raises(SpectrumError, match=r"a\.txt: .*empty states begin .*`e_cut`"):
        broaden([own, none], [26, 26], ["K", "K"], recipe)
    assert broaden([], [], [], recipe) == []


def test_e_cut_is_converted_to_the_scale_of_e0():
    energies = np.linspace(7000.0, 7100.0, 50)
    spectrum = Spectrum(energies, np.ones(50), e_edge=7030.0, e_cut=-3.0)
    assert place(spectrum, 26, "K").e_cut == -3.0
    assert place(spectrum, 26, "K", e0=7040.0).e_cut == -13.0
    assert place(spectrum, 26, "K", e0=7040.0, shift=10.0).e_cut == -3.0
    assert np.isnan(place(Spectrum(energies, np.ones(50), e_edge=7030.0), 26, "K").e_cut)


def test_treatments_record_what_was_done():
    recipe = BroadeningConfig("arctangent", e_cut=-1.5, gaussian=0.5)
    assert json.loads(broadened_treatment(recipe, "none")) == {
        "name": "arctangent", "core_hole": "own", "gamma_max": 15.0, "centre": 30.0, "width": 30.0, "e_cut": -1.5,
        "gaussian": 0.5,
    }  # fmt: skip
    done = broadened_treatment(BroadeningConfig("gaussian", gaussian=0.7), broadened_treatment(recipe, "none"))
    assert treatment_name(done) == "arctangent+gaussian"
    assert json.loads(json.loads(done)["before"])["e_cut"] == -1.5
    assert broadened_treatment(BroadeningConfig(), "none") == "none"
    with pytest.raises(
        SpectrumError,
        match=r"broadening lorentzian: .*unbroadened spectra, received treatment 'arctangent'; .*gaussian",
    ):
        broadened_treatment(BroadeningConfig("lorentzian"), broadened_treatment(recipe, "none"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "core_hole = 1.25",
            "broadening.core_hole: .*arctangent or seah-dench or lorentzian or summed, received none",
        ),
        ('name = "voigt"', "broadening.name: expected none or arctangent .*, received 'voigt'"),
        ('name = "lorentzian"\ncore_hole = 0.0', "broadening.core_hole: expected a number above 0, received 0.0"),
        ('name = "arctangent"\ncentre = -1.0', "broadening.centre: expected a number above 0, received -1.0"),
        ('name = "arctangent"\ne_cut = nan', "broadening.e_cut: expected an energy in eV, received nan"),
        ('name = "lorentzian"\ngamma_max = 5.0', "gamma_max: .*arctangent or seah-dench only, .* lorentzian"),
        ('name = "arctangent"\nseah = 2.0', "broadening.seah: .*seah-dench only, received broadening arctangent"),
        ('name = "gaussian"', "broadening.gaussian: expected a width in eV, received 0"),
    ],
)
def test_invalid_configurations_are_refused(tmp_path, text, message):
    (tmp_path / "run.toml").write_text(f"[broadening]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_run(tmp_path / "run.toml", tmp_path, {})


@pytest.fixture(scope="module")
def raw(small, tmp_path_factory):
    """Return a folder with 40 structures of the small set, their spectra marked as unbroadened."""
    folder = tmp_path_factory.mktemp("raw")
    for name in ("structures", "spectra"):
        (folder / name).mkdir()
        for path in sorted((small / name).iterdir())[:40]:
            shutil.copy(path, folder / name)
    import_structures(
        [folder / "structures"], folder / "small.h5", ImportOptions(spectra=(folder / "spectra",), treatment="none")
    )
    with StructureStore(folder / "small.h5") as source:
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), folder / FEATURES)
    return folder


RECIPE = BroadeningConfig("arctangent", e_cut=-6.0, gaussian=0.5)


def test_targets_are_broadened_on_the_spectrums_own_energies_then_resampled(raw, tmp_path):
    path = copied(raw, tmp_path)
    with opened(path) as pairs:
        (plain,) = prepare_targets(pairs, TargetConfig(step=0.7))
        (targets,) = prepare_targets(pairs, TargetConfig(step=0.7), Recipe(RECIPE))
        with plain, targets, StructureStore(tmp_path / "small.h5") as source:
            assert targets.source_treatment == plain.attribute("treatment") == "none"
            assert treatment_name(targets.attribute("treatment")) == "arctangent"
            sites = source.sites
            own = list(read_spectra(source.file, range(40)))
            grid = targets.grid.energies
            for i, intensities in enumerate(broaden(own, sites.element.tolist(), sites.edge, RECIPE)):
                expected = np.interp(grid, own[i].relative, intensities)
                np.testing.assert_allclose(targets.read(i, i + 1)[0], expected, rtol=1e-5)
            assert np.abs(targets.read(0, 40) - plain.read(0, 40)).max() > 0.05
    assert len(sorted(tmp_path.glob("*.targets-*.h5"))) == 2


def test_broadened_spectra_are_not_broadened_again(small, tmp_path):
    with opened(copied(small, tmp_path)) as pairs:
        with pytest.raises(SpectrumError, match=r"small\.h5: broadening arctangent: .*unbroadened"):
            prepare_targets(pairs, TargetConfig(), Recipe(RECIPE))
        (targets,) = prepare_targets(pairs, TargetConfig(), Recipe(BroadeningConfig("gaussian", gaussian=1.0)))
        with targets:
            assert treatment_name(targets.attribute("treatment")) == "synthetic+gaussian"


def test_emission_refuses_broadenings_for_absorption(raw, tmp_path):
    path = copied(raw, tmp_path)
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        file["spectra/kind"][:] = b"xes"
    with opened(path) as pairs, pytest.raises(SpectrumError, match=r"broadening arctangent .*absorption only"):
        prepare_targets(pairs, TargetConfig(kind="xes"), Recipe(RECIPE))


def test_a_store_without_e_cut(raw, tmp_path):
    """Stores of earlier versions do not record it, but the recipe can give it."""
    path = copied(raw, tmp_path)
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        del file["spectra/e_cut"]
    with opened(path) as pairs:
        prepare_targets(pairs, TargetConfig(), Recipe(RECIPE))[0].close()
        with pytest.raises(SpectrumError, match=r"small\.h5: .*: .*empty states begin .*`e_cut`"):
            prepare_targets(pairs, TargetConfig(), Recipe(BroadeningConfig("lorentzian")))


def test_a_model_of_broadened_spectra_is_evaluated_against_broadened_references(raw, tmp_path, capsys):
    path = copied(raw, tmp_path)
    lines = ["epochs = 2", "batch_size = 16", "gaussian_process = false"]
    broadening = ['name = "arctangent"', "e_cut = -6.0", "gaussian = 0.5"]
    (tmp_path / "run.toml").write_text("\n".join([TINY, "[training]", *lines, "[broadening]", *broadening, ""]))
    assert call("train", path, "--config", tmp_path / "run.toml", "-o", tmp_path / "m", "--members", 1) == 0
    assert call("predict", path, "--model", tmp_path / "m", "-o", tmp_path / "p.h5", "--draws", 2) == 0
    assert call("info", tmp_path / "m") == 0
    assert "arctangent" in capsys.readouterr().out
    model = Model.open(tmp_path / "m")
    assert model.recipe == Recipe(RECIPE)
    again = load_run(tmp_path / "m" / "run.toml", tmp_path, {})
    assert (again.broadening, again.target.treatment) == (RECIPE, "none")
    with opened(path) as pairs, PredictionStore(tmp_path / "p.h5") as store:
        (targets,) = prepare_targets(pairs, again.target, Recipe(RECIPE))
        with targets:
            np.testing.assert_array_equal(store.read("reference"), targets.read(0, 40))
        assert treatment_name(store.attribute("treatment")) == "arctangent"


def test_the_store_keeps_the_e_cut_of_a_file(tmp_path):
    header = (
        "  7112.000   26  1  1  6.9E-03 -2.9E+00 -1.7E+00  1  1  7.8E+03 = E_edge, Z, n_edge\n    Energy    <xanes>\n"
    )
    (tmp_path / "a.xyz").write_text("2\n\nFe 0 0 0\nO 0 0 1.9\n")
    (tmp_path / "spectra").mkdir()
    (tmp_path / "spectra" / "a.txt").write_text(
        header + "".join(f"{e:.2f} {1.0 + e / 1e4:.4f}\n" for e in np.arange(7097.0, 7172.0))
    )
    options = ImportOptions(spectra=(tmp_path / "spectra",))
    import_structures([tmp_path / "a.xyz"], tmp_path / "s.h5", options)
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.file["spectra/e_cut"][:].tolist() == [-1.7]
    assert call("info", "--verify", tmp_path / "s.h5") == 0
