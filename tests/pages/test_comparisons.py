"""What the server answers about averages, atoms, normalisation, matches and fits."""

import asyncio
import threading

import numpy as np
import pytest
from ase.data import atomic_numbers
from support.builders import run

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.experiment.calculated import held_out_sites
from xanes_hpc.models.model import Model
from xanes_hpc.pages import opening, turns
from xanes_hpc.pages.example import examples
from xanes_hpc.pages.opening import opened
from xanes_hpc.pages.server import application
from xanes_hpc.pages.uploads import Limits
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.neighbours import check_distances

A = 4.3
OXIDE = {
    "name": "oxide",
    "numbers": [26] * 4 + [8] * 4,
    "positions": [[0, 0, 0], [0, A / 2, A / 2], [A / 2, 0, A / 2], [A / 2, A / 2, 0],
                  [A / 2, 0, 0], [A / 2, A / 2, A / 2], [0, 0, A / 2], [0, A / 2, 0]],
    "cell": [[A, 0, 0], [0, A, 0], [0, 0, A]],
}  # fmt: skip
WATER = {"name": "w", "numbers": [26, 8, 1, 1], "positions": [[0, 0, 0], [0, 0, 2], [0, 0.8, 2.6], [0, -0.8, 2.6]]}


@pytest.fixture(scope="module")
def predictor(model):
    return SitePredictor(Model.open(model), draws=8)


@pytest.fixture(scope="module")
def library(model, small, tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "p.h5"
    with StructureStore(small / "small.h5") as source:
        predict(Model.open(model), source, path, PredictOptions(draws=8))
    return path


@pytest.fixture(scope="module")
def client(predictor, library):
    with opened(predictor, Limits(), library=library) as own, TestClient(application(own, ["testserver"])) as client:
        yield client


def predicted(client, structure, **more):
    return client.post("/api/predict", json={"structure": structure, "absorber": 0} | more).json()


def as_measured(found, shift=0.0, factor=1.0):
    """Return a prediction as a measured spectrum on an absolute scale."""
    energies = (np.array(found["energies"]) + found["e0"] + shift).tolist()
    return {"energies": energies, "intensities": (factor * np.array(found["mean"])).tolist(), "absolute": True}


def test_equivalent_sites_are_averaged_once(client):
    one, all_ = predicted(client, OXIDE), predicted(client, OXIDE, average=True)
    assert one["sites"] == [{"atom": 0, "weight": 1.0}]
    assert all_["sites"] == [{"atom": 0, "weight": 4.0}]
    assert (one["site"], all_["site"]) == ("oxide#0", "oxide")
    np.testing.assert_allclose(all_["mean"], one["mean"])


def test_different_sites_are_averaged_with_their_numbers(client):
    moved = OXIDE | {"positions": [[0.2, 0.0, 0.0], *OXIDE["positions"][1:]]}
    found = predicted(client, moved, average=True)
    weights = [site["weight"] for site in found["sites"]]
    assert sum(weights) == 4
    assert len(weights) > 1
    own = [predicted(client, moved, absorber=site["atom"])["mean"] for site in found["sites"]]
    np.testing.assert_allclose(found["mean"], np.average(own, axis=0, weights=weights), atol=1e-5)


def test_the_effect_of_an_atom_is_what_the_spectrum_loses_without_it(client, predictor):
    found = client.post("/api/explain", json={"structure": WATER, "absorber": 0}).json()
    assert found["atoms"][0] == 1
    assert set(found["atoms"]) == {1, 2, 3}
    assert found["distances"][0] == pytest.approx(2.0)
    effects = np.array(found["effects"])
    assert effects.shape == (3, len(found["energies"]))
    np.testing.assert_allclose(effects[1], effects[2], atol=1e-4)  # the hydrogen atoms are mirror images
    without = {name: [value for k, value in enumerate(WATER[name]) if k != 1] for name in ("numbers", "positions")}
    whole, rest = (np.array(predicted(client, s, absorber=0)["mean"]) for s in (WATER, WATER | without))
    np.testing.assert_allclose(effects[0], whole - rest, atol=0.1 * np.abs(effects[0]).max())  # dropout is drawn there
    answer = client.post("/api/explain", json={"structure": WATER, "absorber": 1})
    assert answer.status_code == 422


def test_windows_and_e0_can_be_given(client):
    energies = np.arange(7000.0, 7400.0, 1.0)
    curve = 0.5 + 0.001 * (energies - 7120.0) + 0.5 + np.arctan((energies - 7120.0) / 2.0) / np.pi
    body = {"experiment": {"energies": energies.tolist(), "intensities": curve.tolist(), "absolute": True}}
    own = client.post("/api/normalise", json=body).json()
    given = client.post("/api/normalise", json=body | {"e0": 7119.0, "pre": [-100, -40], "post": [60, 200]}).json()
    assert own["normalisation"]["e0_ev"] == pytest.approx(7120.0, abs=0.2)
    assert given["normalisation"]["e0_ev"] == 7119.0
    assert (given["normalisation"]["pre_ev"], given["normalisation"]["post_ev"]) == ([-100, -40], [60, 200])
    assert len(given["pre_edge"]) == len(given["intensities"]) == energies.size
    none = client.post("/api/normalise", json=body | {"method": "none"}).json()
    assert (none["pre_edge"], none["intensities"], none["scale"]) == (None, none["raw"], "line")
    for change, message in (
        ({"pre": [-300, -40]}, "reaches beyond the spectrum"),
        ({"method": "odd"}, "expected one of"),
        ({"element": "Xx", "method": "mback"}, "expected a symbol"),
        ({"element": "X", "method": "mback"}, "expected a symbol"),
        ({"method": "mback"}, "mback needs the element"),
    ):
        answer = client.post("/api/normalise", json=body | change)
        assert (answer.status_code, message in answer.json()["error"]) == (422, True)


def test_the_library_is_searched(client, library):
    found = predicted(client, OXIDE)
    answer = client.post("/api/match", json={"experiment": as_measured(found), "element": "Fe", "edge": "K"}).json()
    assert answer["library"] == "p.h5"
    assert answer["compared"] > 5
    errors = [own["error_percent"] for own in answer["ranked"]]
    assert 0 < len(errors) <= 10
    assert {"site", "shift", "at_limit", "flag", "mean"} <= set(answer["ranked"][0])
    refused = client.post("/api/match", json={"experiment": as_measured(found)})
    assert (refused.status_code, "element" in refused.json()["error"]) == (422, True)


def test_given_predictions_are_ranked(client):
    oxide, water = predicted(client, OXIDE), predicted(client, WATER)
    keys = ("energies", "mean", "std", "e0")
    given = [{"name": n, **{k: f[k] for k in keys}} for n, f in (("oxide", oxide), ("water", water))]
    body = {"experiment": as_measured(water, 1.0, 2.0), "predictions": given}
    answer = client.post("/api/match", json=body).json()
    assert answer["ranked"][0]["site"] == "water"
    assert answer["ranked"][0]["shift"] == pytest.approx(1.0, abs=0.3)
    assert answer["library"] == ""


def test_a_broadening_is_fitted(client):
    plain = predicted(client, OXIDE)
    broad = predicted(client, OXIDE, broadening={"name": "gaussian", "gaussian": 3.0})
    body = {"structure": OXIDE, "absorber": 0, "experiment": as_measured(broad, 0.6, 1.7)}
    found = client.post("/api/fit", json=body).json()
    fit = found["parameters"]
    assert fit["gaussian"]["value"] == pytest.approx(3.0, abs=0.3)
    assert fit["shift"]["value"] == pytest.approx(0.6, abs=0.1)
    assert fit["scale"]["value"] == pytest.approx(1.7, rel=0.05)
    assert found["r_factor"] < 1e-3
    assert len(found["fitted"]) == len(found["energies"]) <= len(plain["energies"])


def test_a_fit_is_judged_by_those_of_held_out_sites(client, predictor, library, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 60.0)  # no tickets, however busy the machine
    monkeypatch.setattr("xanes_hpc.experiment.fit_broadening.FEWEST", 3)
    plain = predicted(client, OXIDE)
    flat = plain | {"mean": np.arctan(np.array(plain["energies"])).tolist()}
    body = {"structure": OXIDE, "absorber": 0}
    with PredictionStore(library) as store:
        n_sites = len(list(held_out_sites(store, 26, "K")))
    with opened(predictor, Limits(), library=library) as own, TestClient(application(own, ["testserver"])) as fresh:
        good, poor = (fresh.post("/api/fit", json=body | {"experiment": as_measured(f)}).json() for f in (plain, flat))
        known = dict(own.held_out_fits)
        again = fresh.post("/api/fit", json=body | {"experiment": as_measured(plain)}).json()
        assert own.held_out_fits == known  # a fit of the same range finds those of the first
    assert again["held_out_percent"] == good["held_out_percent"]
    assert len(good["held_out_percent"]) == n_sites
    assert good["held_out"].startswith(f"{n_sites} held-out spectra: ")
    assert (good["verdict"], good["unexplained_percent"] < 1.0) == ("", True)
    assert poor["warnings"][0] == poor["verdict"] != ""
    assert sum("plain edge" in warning for warning in poor["warnings"]) == 1


def test_a_fit_in_line_is_fetched_with_its_ticket(client, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    body = {"structure": OXIDE, "absorber": 0, "experiment": as_measured(predicted(client, OXIDE))}
    answer = client.post("/api/fit", json=body)
    assert (answer.status_code, answer.json()["ahead"]) == (202, 0)
    ticket = answer.json()["ticket"]
    while answer.status_code == 202:
        answer = client.get(f"/api/fit/{ticket}")
    assert "gaussian" in answer.json()["parameters"]
    assert client.get(f"/api/fit/{ticket}").status_code == 422


@pytest.mark.parametrize("symbol", ["Fe", "S", "Cu"])
def test_examples_are_possible_structures(symbol):
    for structure in examples(symbol):
        check_distances(structure)
        assert structure.numbers[0] == atomic_numbers[symbol]


def test_the_page_has_an_example_and_facts_about_the_model(client, predictor, tmp_path):
    known = client.get("/api/model").json()
    assert known["example"]["absorbers"]
    assert known["library"]["name"] == "p.h5"
    assert known["training"]["sites"] > 0
    assert known["training"]["error_percent"] is None or known["training"]["error_percent"] > 0
    assert set(known["domain"]) == {"elements", "neighbours"}
    path = tmp_path / "own.xyz"
    path.write_text("2\n\nFe 0 0 0\nO 0 0 1.9\n")
    with opened(predictor, Limits(), path) as own:
        assert own.example.name == "own"
    path.write_text("2\n\nC 0 0 0\nO 0 0 1.2\n")
    with pytest.raises(FormatError, match="expected a structure with an element"), opened(predictor, Limits(), path):
        pass


def test_a_request_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(turns, "WAIT", 0.05)
    go = threading.Event()

    async def two():
        own = turns.Turns(1)
        first = asyncio.create_task(own.run(go.wait))
        await asyncio.sleep(0.01)
        with pytest.raises(turns.BusyError, match="try again"):
            await own.run(go.wait)
        go.set()
        return await first, await own.run(str, 7)

    assert asyncio.run(two()) == (True, "7")


def test_a_library_that_is_too_large_is_refused(predictor, library, monkeypatch):
    monkeypatch.setattr(opening, "MOST_SITES", 3)
    with pytest.raises(StoreError, match="expected at most 3 sites"), opened(predictor, Limits(), library=library):
        pass


def test_a_missing_library_is_named(model, tmp_path, capsys):
    assert run("serve", model, "--library", tmp_path / "no.h5", "--draws", 2) == 2
    assert "no.h5" in capsys.readouterr().err
