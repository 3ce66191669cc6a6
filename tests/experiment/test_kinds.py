"""The element and edge of a measured spectrum, found among those of a store's sites."""

import json

import numpy as np
import pytest
from support.builders import run, table, write

import xanes_hpc as xh
from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.experiment.kinds import Kind, kind_of
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore

IRON, COBALT = Kind(26, "K", np.arange(3), 7112.0), Kind(27, "K", np.arange(2), 7709.0)
IRON_L = Kind(26, "L3", np.arange(4), 706.8)


def edge(at, first=-100.0, last=200.0, **named):
    energies = np.arange(at + first, at + last, 0.5)
    return Spectrum(energies, np.arctan((energies - at) / 2.0) + 1.6, source="m", **named)


def test_the_file_or_the_energies_tell_the_element():
    kinds = [IRON, COBALT, IRON_L]
    assert kind_of(edge(7709.0), kinds) is COBALT
    assert kind_of(edge(7112.0, last=800.0), kinds) is IRON
    assert kind_of(edge(707.0), kinds) is IRON_L
    relative = edge(0.0, -15.0, 60.0, absolute=False, element=27)
    assert kind_of(relative, kinds) is COBALT
    in_kev = edge(7709.0)
    assert kind_of(Spectrum(in_kev.energies / 1000.0, in_kev.intensities, source="m"), [IRON, COBALT]) is COBALT
    assert kind_of(edge(8979.0), [IRON]) is IRON  # held to its edge where it is used


@pytest.mark.parametrize(
    ("spectrum", "words"),
    [
        (
            edge(0.0, -15.0, 60.0, absolute=False),
            r"m: neither its file nor its energies.* of Fe K, Co K.*`absorber`",
        ),
        (edge(8979.0), r"m: rises at none of the edges of the sites, Fe K, Co K, Fe L3"),
        (edge(8979.0, element=29, edge="K"), r"m: expected a spectrum of Fe K, Co K, Fe L3, the sites', received Cu K"),
        (edge(0.0, -15.0, 60.0, absolute=False, element=26), r"m: neither its file .* of Fe K, Fe L3; choose"),
    ],
)
def test_a_spectrum_of_none_of_the_elements_or_of_several(spectrum, words):
    with pytest.raises(SpectrumError, match=words):
        kind_of(spectrum, [IRON, COBALT, IRON_L])


@pytest.fixture
def files(predicted, tmp_path):
    """Spectra of an iron, a cobalt and a copper site in a folder, and the sites' names."""
    names = {}
    with PredictionStore(predicted) as store:
        elements = store.sites.element.tolist()
        for number in (26, 27, 29):
            row = elements.index(number)
            points = np.column_stack([store.energies + store.read("sites/e0", row), store.read("mean", row)])
            names[f"m{number}.dat"] = store.sites.name[row]
            write(tmp_path / "m" / f"m{number}.dat", table(points))
    return tmp_path / "m", names


def test_each_spectrum_is_matched_with_sites_of_its_own_element(predicted, files, tmp_path, capsys):
    folder, names = files
    assert run("match", folder, predicted, "--by", "chi2", "--keep", 2, "--json", tmp_path / "m.json") == 0
    found = json.loads((tmp_path / "m.json").read_text())["spectra"]
    assert {one["spectrum"]: one["ranked"][0]["site"] for one in found} == names
    assert [one["element"] for one in found] == ["Fe", "Co", "Cu"]
    assert "sites of Fe K" in " ".join(capsys.readouterr().out.split())
    assert run("match", folder / "m27.dat", predicted, "--by", "chi2", "--keep", 1) == 0
    assert "sites of Co K" in " ".join(capsys.readouterr().out.split())
    assert run("match", folder, predicted, "--absorber", "Fe", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["spectrum"] for one in found["spectra"]] == ["m26.dat"]
    assert [one["spectrum"] for one in found["not_matched"]] == ["m27.dat", "m29.dat"]


def test_several_spectra_in_python(predicted, files):
    folder, names = files
    found = xh.match(folder, predicted, by="chi2")
    assert {name: one.ranked[0].site for name, one in found.items()} == names
    assert repr(found) == "<Matches of 3 spectra>"
    paths = [folder / "m29.dat", folder / "m26.dat", folder / "missing.dat"]
    some = xh.match(paths, predicted, by="chi2")
    assert list(some) == ["m29.dat", "m26.dat"]
    assert [one.name for one in some.left_out] == ["missing.dat"]
    read = [xh.read_spectrum(path) for path in paths[:2]]
    for given in (read, [(own.energies, own.intensities) for own in read], tuple(read), iter(read)):
        assert [one.ranked[0].site for one in xh.match(given, predicted, by="chi2").values()] == [
            names["m29.dat"], names["m26.dat"],
        ]  # fmt: skip
    alone = xh.match(folder / "m26.dat", predicted, by="chi2")
    pair = xh.match([read[1].energies, read[1].intensities], predicted, by="chi2")
    assert alone.ranked[0].site == pair.ranked[0].site == names["m26.dat"]
    with pytest.raises(SpectrumError, match=r"missing\.dat"):
        xh.match(paths[2:], predicted)


def test_a_fit_takes_the_only_site_of_the_element(predicted, files):
    folder, names = files
    spectra = xh.Spectra.open(predicted)[[names["m26.dat"], names["m29.dat"]]]
    fit = xh.fit_broadening(spectra, folder / "m29.dat")
    assert fit.r_factor < 1e-4
    with pytest.raises(StoreError, match=r"sites, \d+ of Cu K \(.*\); choose one with `site`"):
        xh.fit_broadening(predicted, folder / "m29.dat")
