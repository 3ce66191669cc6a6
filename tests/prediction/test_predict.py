"""Prediction: its sources, its references, what it refuses, and the store it writes."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from support.builders import run as run_command

from xanes_hpc import descriptors
from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.errors import FormatError, ModelError, StoreError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models.model import Model
from xanes_hpc.prediction import predict as predict_module
from xanes_hpc.prediction.export import check_folder, export
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import open_sources
from xanes_hpc.runtime import threads
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.texts import read_text

FEW = PredictOptions(draws=8)


def run(model: Path, sources: list[Path], output: Path, options: PredictOptions = FEW, **where: str) -> PredictionStore:
    with open_sources(sources, **where) as source:
        predict(Model.open(model), source, output, options)
    return PredictionStore(output)


def test_structures_features_and_files_give_the_same(model, small, tmp_path):
    from_structures = run(model, [small / "small.h5"], tmp_path / "a.h5")
    from_features = run(model, [small / "small.features.h5"], tmp_path / "b.h5")
    from_files = run(model, [small / "structures"], tmp_path / "c.h5")
    for other in (from_features, from_files):
        assert other.sites.name == from_structures.sites.name
        np.testing.assert_allclose(other.read("mean"), from_structures.read("mean"), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other.read("std"), from_structures.read("std"), rtol=1e-3, atol=1e-5)
    assert from_features.has_reference
    assert not from_files.has_reference


def test_references_are_the_spectra_on_the_models_grid(model, small, tmp_path):
    store = run(model, [small / "small.h5"], tmp_path / "p.h5")
    own = np.loadtxt(small / "spectra" / f"{store.sites.name[5]}.txt")
    np.testing.assert_allclose(store.read("reference", 5), own[:, 1], atol=2e-4)
    np.testing.assert_allclose(store.read("sites/e0")[5] + store.energies, own[:, 0], atol=1e-3)
    assert store.origin == "e0"


def test_sites_without_a_spectrum_have_nan_references(model, small, tmp_path):
    shutil.copytree(small / "spectra", tmp_path / "spectra")
    gone = sorted((tmp_path / "spectra").iterdir())[2]
    gone.unlink()
    options = ImportOptions(spectra=(tmp_path / "spectra",), treatment='{"name":"synthetic"}', keep_unpaired=True)
    import_structures([small / "structures"], tmp_path / "s.h5", options)
    store = run(model, [tmp_path / "s.h5"], tmp_path / "p.h5")
    reference = store.read("reference")
    assert np.isnan(reference[2]).all()
    assert np.isfinite(np.delete(reference, 2, axis=0)).all()
    assert evaluate(store)["n_without_reference"] == 1


def test_predictions_record_the_set_of_the_split_of_every_site(model, small, tmp_path):
    store = run(model, [small / "small.h5"], tmp_path / "p.h5")
    trained = Model.open(model).description["provenance"]["sites"]
    assert {p: store.texts("part").count(p) for p in trained} == trained
    test_only = run(model, [small / "small.h5"], tmp_path / "t.h5", PredictOptions(draws=8, split="test"))
    assert set(test_only.texts("part")) == {"test"}
    kept = [i for i, p in enumerate(store.texts("part")) if p == "test"]
    np.testing.assert_allclose(test_only.read("mean"), store.read("mean")[kept], rtol=1e-4, atol=1e-5)
    assert (store.read("sites/nearest")[[p == "train" for p in store.texts("part")]] < 1e-3).all()


def test_a_site_of_the_same_name_but_another_structure_is_new(model, small, tmp_path):
    name = Model.open(model).training_sites.names[0]
    (tmp_path / f"{name}.xyz").write_text("2\n\nFe 0 0 0\nO 0 0 1.9\n")
    store = run(model, [tmp_path / f"{name}.xyz"], tmp_path / "p.h5")
    assert store.texts("part") == ["none"]


def test_features_without_their_structures_are_predicted_without_references(model, small, tmp_path):
    shutil.copy(small / "small.features.h5", tmp_path / "alone.features.h5")
    with open_sources([tmp_path / "alone.features.h5"]) as source:
        why = predict(Model.open(model), source, tmp_path / "p.h5", FEW)
    assert "no such file; it is the structure store of" in why
    store = PredictionStore(tmp_path / "p.h5")
    assert not store.has_reference
    trained = Model.open(model).description["provenance"]["sites"]
    assert store.texts("part").count("test") == trained["test"]


def test_damaged_structures_behind_features_are_an_error(model, small, tmp_path):
    shutil.copy(small / "small.features.h5", tmp_path / "small.features.h5")
    (tmp_path / "small.h5").write_bytes((small / "small.h5").read_bytes()[:5000])
    with (
        open_sources([tmp_path / "small.features.h5"]) as source,
        pytest.raises(StoreError, match=r"small\.h5: truncated HDF5 file"),
    ):
        predict(Model.open(model), source, tmp_path / "p.h5", FEW)
    assert not (tmp_path / "p.h5").exists()


def test_references_of_another_treatment_are_not_used(model, small, tmp_path):
    import_structures([small / "structures"], tmp_path / "s.h5", ImportOptions(spectra=(small / "spectra",)))
    with open_sources([tmp_path / "s.h5"]) as source:
        why = predict(Model.open(model), source, tmp_path / "p.h5", FEW)
    assert "no spectra of kind xanes with treatment" in why
    assert not PredictionStore(tmp_path / "p.h5").has_reference


def test_predictions_are_the_same_to_the_last_bit_on_any_number_of_threads(model, small, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_module, "ROWS_AT_ONCE", 25)
    for n in (1, 2):
        with threads.limited_to(n):
            run(model, [small / "small.features.h5"], tmp_path / f"{n}.h5", PredictOptions(draws=4))
    with PredictionStore(tmp_path / "1.h5") as one, PredictionStore(tmp_path / "2.h5") as two:
        for name in ("mean", "std", "sites/nearest"):
            np.testing.assert_array_equal(two.read(name), one.read(name))
        assert two.reasons == one.reasons


def test_draws_are_kept_and_give_mean_and_sigma(model, small, tmp_path):
    store = run(model, [small / "small.h5"], tmp_path / "p.h5", PredictOptions(draws=6, keep_draws=True))
    draws = store.read("draws")
    assert draws.shape == (120, 6, 201)
    np.testing.assert_allclose(draws.mean(axis=1), store.read("mean"), atol=1e-5)
    folder = Model.open(model)
    with FeatureStore(small / "small.features.h5") as features:
        absorbers = folder.absorbers(features.sites.element, features.sites.edge)
        x = features.read(0, 120)
    _, evidence = folder.sample(x, absorbers, 6, seed=0)
    np.testing.assert_allclose(store.read("sites/nearest"), evidence.distance, rtol=1e-5)
    np.testing.assert_allclose(store.read("std"), folder.calibration.sigma(evidence), rtol=1e-5)
    spread = draws.std(axis=1, ddof=1)  # without the spread between networks and regression
    of_draws = folder.calibration.sigma(replace(evidence, spread=spread))
    assert (of_draws < 1.01 * store.read("std") + 1e-5).all()
    assert evaluate(store)["distribution"] == "draws"


def test_another_descriptor_is_refused_naming_both_hashes(model, small, tmp_path):
    other = descriptors.load("wacsf", "xanesnet-2022")
    with StructureStore(small / "small.h5") as source:
        featurise(source, other, tmp_path / "o.features.h5")
    expected = re.escape(Model.open(model).descriptor_hash) + ".*" + re.escape(other.hash)
    with pytest.raises(ModelError, match=expected):
        run(model, [tmp_path / "o.features.h5"], tmp_path / "p.h5")
    assert not (tmp_path / "p.h5").exists()


def test_an_unseen_element_or_edge_is_refused_without_force(model, tmp_path):
    (tmp_path / "zn.xyz").write_text("3\n\nZn 0 0 0\nO 0 0 1.9\nO 0 0 -1.9\n")
    with pytest.raises(ModelError, match=r"was not trained on Zn K.*Fe K.*`force`"):
        run(model, [tmp_path / "zn.xyz"], tmp_path / "p.h5")
    forced = run(model, [tmp_path / "zn.xyz"], tmp_path / "p.h5", PredictOptions(draws=8, force=True))
    assert forced.read("sites/e0")[0] == pytest.approx(9659, abs=2)
    (tmp_path / "fe.xyz").write_text("2\n\nFe 0 0 0\nO 0 0 1.9\n")
    with pytest.raises(ModelError, match="was not trained on Fe L3"):
        run(model, [tmp_path / "fe.xyz"], tmp_path / "q.h5", edge="L3")


def test_sources_and_options_that_are_wrong_are_refused(model, small, tmp_path):
    (tmp_path / "bad.xyz").write_text("3\n\nFe 0 0 0\n")
    with pytest.raises(FormatError, match=r"bad.xyz: truncated"):
        run(model, [tmp_path / "bad.xyz"], tmp_path / "p.h5")
    with pytest.raises(StoreError, match="no such file"):
        run(model, [tmp_path / "none.xyz"], tmp_path / "p.h5")
    with pytest.raises(StoreError, match="expected the store as the only source"):
        run(model, [small / "small.h5", small / "structures"], tmp_path / "p.h5")
    with pytest.raises(StoreError, match="a store already has its sites; `absorber`, `edge`, `disorder` and `unique`"):
        run(model, [small / "small.h5"], tmp_path / "p.h5", absorber="Fe")
    with pytest.raises(ModelError, match="`draws`: expected at least 2, received 1"):
        run(model, [small / "small.h5"], tmp_path / "p.h5", PredictOptions(draws=1))


def test_a_damaged_model_is_refused_and_nothing_is_written(model, small, tmp_path):
    copy = tmp_path / "copy.model"
    shutil.copytree(model, copy)
    (copy / "members/00/scalers.h5").write_bytes(b"junk")
    with pytest.raises(StoreError, match=r"scalers.h5: damaged"):
        run(copy, [small / "small.h5"], tmp_path / "p.h5")
    assert not (tmp_path / "p.h5").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"sigma_scale": null}', '{"conformal": [0.9]}'])
def test_a_damaged_calibration_of_a_prediction_store_is_refused(model, small, tmp_path, text):
    run(model, [small / "small.h5"], tmp_path / "p.h5").file.close()
    with h5py.File(tmp_path / "p.h5", "r+") as file:
        file.attrs["calibration"] = text
    with (
        PredictionStore(tmp_path / "p.h5") as store,
        pytest.raises(StoreError, match=r"p\.h5: attribute calibration: expected an object"),
    ):
        evaluate(store)


def test_a_training_site_under_another_name_is_noted(model, small, tmp_path, capsys):
    """Its set of the split is unknown then, but its features are those of a training site."""
    with StructureStore(small / "small.h5") as source:
        structure, _ = next(iter(source.structures_at(np.array([0]))))
    atoms = Atoms(structure.numbers, structure.positions)
    atoms.write(tmp_path / "known.xyz")
    atoms.rattle(0.1, seed=1)
    atoms.write(tmp_path / "unknown.xyz")
    for name, noted in (("known", True), ("unknown", False)):
        assert run_command("predict", tmp_path / f"{name}.xyz", "--model", model, "-o", tmp_path / f"{name}.h5") == 0
        assert ("1 of 1 sites have the same features as a training site" in capsys.readouterr().err) == noted


def test_csv_files_hold_the_prediction(model, small, tmp_path):
    store = run(model, [small / "small.h5"], tmp_path / "p.h5")
    assert len(export(store, tmp_path / "csv", "csv")) == 120
    lines = (tmp_path / "csv" / f"{store.sites.name[7]}.csv").read_text().splitlines()
    assert "treatment synthetic" in lines[0]
    table = np.genfromtxt(lines[1:], delimiter=",", names=True)
    assert table.dtype.names == ("energy_ev", "energy_ev_relative_to_e0", "mean", "std", "low95", "high95", "reference")
    np.testing.assert_allclose(table["mean"], store.read("mean", 7), rtol=1e-6)
    half = store.distribution.half_width(0.9545) * store.read("std", 7)
    np.testing.assert_allclose(table["high95"] - table["low95"], 2.0 * half, rtol=1e-4)
    np.testing.assert_allclose(table["energy_ev"] - table["energy_ev_relative_to_e0"], store.read("sites/e0")[7])
    with pytest.raises(StoreError, match=r"already holds \.csv files"):
        check_folder(tmp_path / "csv", "csv", overwrite=False)


def test_sites_whose_names_collide_as_file_names_get_a_file_each(model, tmp_path):
    for name in ("a:b", "a_b"):
        (tmp_path / f"{name}.xyz").write_text("2\n\nFe 0 0 0\nO 0 0 1.9\n")
    store = run(model, sorted(tmp_path.glob("*.xyz")), tmp_path / "p.h5")
    assert len(export(store, tmp_path / "csv", "csv")) == 2
    assert {p.name for p in (tmp_path / "csv").iterdir()} == {"a_b.csv", "a_b~2.csv"}


def test_the_structures_behind_features_are_never_overwritten(model, small, tmp_path):
    for name in ("small.h5", "small.features.h5"):
        shutil.copy(small / name, tmp_path / name)
    before = (tmp_path / "small.h5").read_bytes()
    with open_sources([tmp_path / "small.features.h5"]) as source:
        with pytest.raises(StoreError, match="is one of the inputs"):
            predict(Model.open(model), source, tmp_path / "small.h5", FEW, overwrite=True)
    assert (tmp_path / "small.h5").read_bytes() == before


def test_references_come_from_the_store_given(model, small, tmp_path):
    import_structures([small / "structures"], tmp_path / "plain.h5")
    options = PredictOptions(draws=4, spectra=small / "small.h5")
    assert run(model, [tmp_path / "plain.h5"], tmp_path / "a.h5", options).has_reference
    shutil.copy(small / "small.features.h5", tmp_path / "moved.features.h5")
    assert run(model, [tmp_path / "moved.features.h5"], tmp_path / "b.h5", options).has_reference
    import_structures(sorted((small / "structures").iterdir())[:5], tmp_path / "few.h5")
    with pytest.raises(StoreError, match="its structures differ from those of"):
        run(model, [tmp_path / "few.h5"], tmp_path / "c.h5", options)
    with pytest.raises(StoreError, match="its structures differ from those of the files that were read"):
        run(model, sorted((small / "structures").iterdir())[:5], tmp_path / "c.h5", options)


def test_a_prediction_store_holds_what_evaluate_needs(model, small, tmp_path):
    run(model, [small / "small.h5"], tmp_path / "p.h5").file.close()
    with h5py.File(tmp_path / "p.h5") as file:
        assert read_text(file["energy"], "origin") == "e0"
        assert file["mean"].shape == file["std"].shape == file["reference"].shape == (120, 201)
        assert file["sites/name"].asstr()[0].startswith("demo0000_")
        assert (file["std"][:] > 0).all()
        assert read_text(file, "method") == "dropout"
        intervals = json.loads(file.attrs["calibration"])
    expected = Model.open(model).calibration.as_dict()
    assert intervals == {name: expected[name] for name in ("conformal", "degrees", "n_sites")}


def test_draws_depend_only_on_the_seed(model, small, tmp_path):
    first, again, other = (
        run(model, [small / "small.h5"], tmp_path / f"{i}.h5", PredictOptions(draws=4, seed=seed))
        for i, seed in enumerate((7, 7, 8))
    )
    for name in ("mean", "std"):
        np.testing.assert_array_equal(again.read(name), first.read(name))
        assert not np.array_equal(other.read(name), first.read(name))


def test_an_ensemble_has_one_draw_of_each_member(model, small, tmp_path):
    copy = tmp_path / "copy.model"
    shutil.copytree(model, copy)
    description = json.loads((copy / "model.json").read_text())
    description["uncertainty"] = {"method": "ensemble"}
    (copy / "model.json").write_text(json.dumps(description))
    options = PredictOptions(draws=50, keep_draws=True)
    store = run(copy, [small / "small.h5"], tmp_path / "p.h5", options)
    folder = Model.open(copy)
    assert store.file.attrs["n_draws"] == store.file["draws"].shape[1] == len(folder.members)
    assert store.attribute("method") == "ensemble"
    with FeatureStore(small / "small.features.h5") as features:
        x, sites = features.read(0, 9), features.sites
    absorbers = folder.absorbers(sites.element, sites.edge)[:9]
    plain = np.stack([member.mean_network(x, absorbers) for member in folder.members], axis=1)
    share, others = folder.regression.share, folder.regression.spectra(x, absorbers)
    plain = (1.0 - share) * plain + share * others[:, None]
    np.testing.assert_allclose(store.read("draws", slice(0, 9)), plain, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(store.read("mean", slice(0, 9)), plain.mean(axis=1), rtol=1e-5, atol=1e-5)


def test_features_that_are_not_finite_are_refused_naming_the_site(model, small, tmp_path):
    for name in ("small.h5", "small.features.h5"):
        shutil.copy(small / name, tmp_path / name)
    with h5py.File(tmp_path / "small.features.h5", "r+") as file:
        file["features"][17, 3] = np.nan
    with pytest.raises(StoreError, match=r"features.h5: site 17 has NaN or infinite features; featurise it again"):
        run(model, [tmp_path / "small.features.h5"], tmp_path / "p.h5")
    assert not (tmp_path / "p.h5").exists()


def test_wrong_arguments_to_read_are_not_reported_as_damage(predicted):
    with PredictionStore(predicted) as store:
        assert store.read("mean", slice(0, 3)).shape == (3, 201)
        with pytest.raises(TypeError, match=r"name of a dataset.*slice\(0, 3"):
            store.read(slice(0, 3))
        with pytest.raises(KeyError, match=r"no dataset 'average'.*mean"):
            store.read("average")


def test_files_that_cannot_be_used_cost_only_themselves(model, small, tmp_path, capsys):
    good = sorted((small / "structures").iterdir())[:2]
    (tmp_path / "bad.xyz").write_text("3\n")
    words = ("predict", *good, tmp_path / "bad.xyz", "--model", model, "--draws", 2, "-o", tmp_path / "p.h5")
    assert run_command(*words, "--strict") == 2
    assert not (tmp_path / "p.h5").exists()
    capsys.readouterr()
    assert run_command(*words) == 0
    assert f"skipped: {tmp_path}/bad.xyz: truncated" in capsys.readouterr().err
    with PredictionStore(tmp_path / "p.h5") as store:
        assert store.sites.name == [path.stem for path in good]
