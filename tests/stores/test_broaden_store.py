"""``broaden`` writes a store with treated spectra; and training on normalised targets."""

import json

import numpy as np
import pytest
from support.builders import contents, refused, run
from support.stored import structure, write_structures
from support.trainings import FEATURES, TINY, copied, opened

from xanes_hpc.config.files import load_run
from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.targets import prepare_targets
from xanes_hpc.errors import SpectrumError
from xanes_hpc.models.model import Model
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum, treatment_name
from xanes_hpc.spectra.treatment import treat
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structures import StructureStore

GRID = np.linspace(-20.0, 60.0, 161)
WINDOWS = ("--normalise", "edge-step", "--pre=-18:-8", "--post", "30:60")
STEP = NormalisationConfig("edge-step", pre_start=-18.0, pre_stop=-8.0, post_start=30.0, post_stop=60.0)


def step(k, n_points=GRID.size, kind="xanes", treatment="none"):
    """Return an edge of height k + 2, with ``n_points`` points."""
    mu = (k + 2.0) * (0.5 + np.arctan(GRID / 2.0) / np.pi)
    record = Spectrum(7112.0 + GRID[:n_points], mu[:n_points], kind, treatment, "Mbarn", source=f"{k}.txt")
    return PlacedSpectrum(record, 7112.0, "file", "absolute", e_cut=-3.0)


@pytest.fixture
def store(tmp_path):
    """Five sites with calculated spectra, one of which also has a broadened one; and a site without spectra."""
    entries = [(structure(f"s{k}", 4, k), [0], "K", [[step(k)]]) for k in range(5)]
    entries[2][3][0].append(step(2, treatment='{"name":"fdmnes-conv"}'))
    return write_structures(tmp_path / "s.h5", [*entries, (structure("bare", 3, 9), [0], "K", [[]])])


def read(path):
    with StructureStore(path) as opened_:
        table = SpectrumTable.read(opened_.file)
        return table.site.tolist(), list(read_spectra(opened_.file, list(range(opened_.n_spectra))))


def test_spectra_are_treated_and_the_source_is_unchanged(tmp_path, store, capsys):
    before = contents(tmp_path)
    arguments = ("--recipe", "arctangent", "--core-hole", 1.5, *WINDOWS, "--treatment", "none", "--json")
    assert run("broaden", store, "-o", tmp_path / "b.h5", *arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["spectra"], summary["skipped_count"], summary["kept"]) == (5, 0, 0)
    assert treatment_name(summary["treatment"]) == "arctangent+edge-step"
    assert {name: data for name, data in contents(tmp_path).items() if "b.h5" not in name} == before
    sites, found = read(tmp_path / "b.h5")
    assert sites == [0, 1, 2, 3, 4]
    recipe = Recipe(BroadeningConfig("arctangent", core_hole=1.5), STEP)
    expected = treat([step(k) for k in range(5)], [26] * 5, ["K"] * 5, recipe)
    for own, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own.spectrum.intensities, plain.spectrum.intensities)
        np.testing.assert_array_equal(own.spectrum.energies, plain.spectrum.energies)
        assert (own.spectrum.treatment, own.spectrum.unit) == (summary["treatment"], "normalised")
        assert (own.spectrum.source, own.e0, own.e_cut) == (plain.spectrum.source, 7112.0, -3.0)


def test_features_are_valid_for_either_store(tmp_path, store):
    assert run("featurise", store, "--preset", "xanesnet-49") == 0
    assert run("broaden", store, "-o", tmp_path / "b.h5", "--recipe", "lorentzian", "--treatment", "none") == 0
    with FeatureStore(tmp_path / "s.features.h5") as features, features.open_source(tmp_path / "b.h5") as source:
        assert source.n_spectra == 5


def test_keep_keeps_the_original_spectra(tmp_path, store):
    assert (
        run("broaden", store, "-o", tmp_path / "b.h5", "--recipe", "lorentzian", "--treatment", "none", "--keep") == 0
    )
    sites, found = read(tmp_path / "b.h5")
    assert sites == [0, 1, 2, 3, 4, 0, 1, 2, 2, 3, 4]
    assert [treatment_name(p.spectrum.treatment) for p in found] == [
        *["lorentzian"] * 5,
        *["none"] * 3,
        "fdmnes-conv",
        "none",
        "none",
    ]
    np.testing.assert_array_equal(found[5].spectrum.intensities, step(0).spectrum.intensities)


def test_spectra_that_cannot_be_treated_are_skipped_with_a_reason(tmp_path, capsys):
    entries = [(structure(f"s{k}", 4, k), [0], "K", [[step(k, 120 if k == 1 else GRID.size)]]) for k in range(3)]
    store = write_structures(tmp_path / "s.h5", entries)
    assert run("broaden", store, "-o", tmp_path / "b.h5", *WINDOWS, "--json", tmp_path / "t.json") == 0
    summary = json.loads((tmp_path / "t.json").read_text())
    assert (summary["spectra"], summary["skipped_count"]) == (2, 1)
    reason = "1.txt: the post-edge window, 30 to 60 eV from the edge, reaches beyond the spectrum, -20 to 39.5 eV"
    assert summary["skipped"] == [reason]
    assert f"skipped: {reason}" in capsys.readouterr().err
    assert read(tmp_path / "b.h5")[0] == [0, 2]
    message = refused(capsys, tmp_path, "broaden", store, "-o", tmp_path / "c.h5", *WINDOWS, "--strict")
    assert message == f"{store}: {reason}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to do: set --recipe or --normalise"),
        (("--recipe", "lorentzian"), "several treatments of xanes; choose one with --treatment: "),
        (
            ("--recipe", "lorentzian", "--treatment", "fdmnes-conv"),
            "expected unbroadened spectra, received treatment",
        ),
        (("--recipe", "voigt"), "broadening.name: expected none or arctangent"),
        (("--normalise", "edge-step", "--treatment", "none"), "normalisation.pre_start: missing"),
        (("--normalise", "area", "--window", "3"), "--window: expected START:STOP in eV"),
        (
            (*WINDOWS[:3], "--post", "30:90", "--treatment", "none"),
            "none of 5 spectra can be treated; 0.txt: the post-edge",
        ),
        (
            ("--recipe", "lorentzian", "--e-cut", 500, "--treatment", "none"),
            "expected e_cut below the last energy, ",
        ),
        (("--gaussian", 2), "broadening.gaussian: expected --recipe arctangent or seah-dench or lorentzian or summed"),
        (("--recipe", "gaussian", "--gaussian", 1, "--kind", "xes"), "no spectra of kind xes"),
    ],
)
def test_refused(tmp_path, store, capsys, arguments, message):
    assert message in refused(capsys, tmp_path, "broaden", store, "-o", tmp_path / "b.h5", *arguments)


def test_the_output_cannot_be_the_input(tmp_path, store, capsys):
    arguments = ("--recipe", "lorentzian", "--treatment", "none")
    assert "is one of the inputs" in refused(capsys, tmp_path, "broaden", store, "-o", store, *arguments)
    assert "is one of the inputs" in refused(capsys, tmp_path, "broaden", store, "-o", store, *arguments, "--overwrite")


def test_the_published_recipe_equals_its_numbers(tmp_path, store):
    named, numbers = tmp_path / "named.h5", tmp_path / "numbers.h5"
    common = ("--treatment", "none")
    assert run("broaden", store, "-o", named, "--recipe", "published-fe", *common) == 0
    given = ("--recipe", "summed", "--core-hole", 1.25, "--e-cut=-1")
    assert run("broaden", store, "-o", numbers, *given, *common) == 0
    for one, other in zip(read(named)[1], read(numbers)[1], strict=True):
        np.testing.assert_array_equal(one.spectrum.intensities, other.spectrum.intensities)
        assert one.spectrum.treatment == other.spectrum.treatment
    config = tmp_path / "run.toml"
    config.write_text('[broadening]\nname = "published-fe"\n[normalisation]\nname = "area"\n')
    found = load_run(config, tmp_path, {})
    assert found.broadening == BroadeningConfig("summed", core_hole=1.25, e_cut=-1.0)
    assert run("broaden", store, "-o", tmp_path / "c.h5", "--config", config, *common) == 0
    assert treatment_name(read(tmp_path / "c.h5")[1][0].spectrum.treatment) == "summed+area"


def test_a_model_trains_and_is_evaluated_on_normalised_spectra(small, tmp_path, capsys):
    path = copied(small, tmp_path)
    lines = ["epochs = 2", "batch_size = 16", "gaussian_process = false"]
    section = ["[normalisation]", 'name = "min-max"', "start = -5", "stop = 40", 'e0 = "steepest"', "align = true"]
    target = ["[target]", "start = -5", "stop = 40", "step = 0.5"]
    (tmp_path / "run.toml").write_text("\n".join([TINY, "[training]", *lines, *section, *target, ""]))
    assert run("train", path, "--config", tmp_path / "run.toml", "-o", tmp_path / "m", "--members", 1) == 0
    assert run("predict", path, "--model", tmp_path / "m", "-o", tmp_path / "p.h5", "--draws", 2) == 0
    recipe = load_run(tmp_path / "run.toml", tmp_path, {}).recipe
    assert Model.open(tmp_path / "m").recipe == recipe
    with opened(path) as pairs, PredictionStore(tmp_path / "p.h5") as predicted:
        (targets,) = prepare_targets(pairs, TargetConfig(start=-5.0, stop=40.0, step=0.5), recipe)
        with targets:
            reference = predicted.read("reference")
            np.testing.assert_array_equal(reference, targets.read(0, len(reference)))
            assert treatment_name(predicted.attribute("treatment")) == "synthetic+min-max"
            assert predicted.attribute("unit") == "normalised"
            np.testing.assert_allclose(reference.min(axis=1), 0.0, atol=0.05)
            np.testing.assert_allclose(reference.max(axis=1), 1.0, atol=0.05)
            steepest = targets.grid.energies[np.argmax(np.gradient(reference, axis=1), axis=1)]
            assert np.abs(steepest).max() <= 0.5  # aligned
    capsys.readouterr()


def test_aligning_at_the_steepest_point_needs_a_grid(small, tmp_path):
    with (
        opened(copied(small, tmp_path)) as pairs,
        pytest.raises(SpectrumError, match=r"give \[target\] start, stop and step"),
    ):
        prepare_targets(pairs, TargetConfig(), Recipe(normalisation=NormalisationConfig(e0="steepest")))
    assert (small / FEATURES).exists()
