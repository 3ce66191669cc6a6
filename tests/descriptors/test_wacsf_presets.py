"""The parameters of the presets, number by number, and the order of their columns."""

import numpy as np
import pytest
from ase.build import molecule
from ase.io import write
from support import systems
from support.builders import run

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError


def weightings(preset):
    return descriptors.load("wacsf", preset).describe()["weighting"]


def test_published_preset_has_97_features_in_float64_to_6_angstrom():
    descriptor = descriptors.load("wacsf", "xanesnet-2022")
    assert (descriptor.n_features, descriptor.cutoff, descriptor.dtype) == (97, 6.0, np.dtype("float64"))
    assert descriptor.describe()["g1"] is True


def test_later_preset_has_49_features_in_float64_to_6_angstrom():
    descriptor = descriptors.load("wacsf", "xanesnet-49")
    assert (descriptor.n_features, descriptor.cutoff, descriptor.dtype) == (49, 6.0, np.dtype("float64"))
    assert descriptor.describe()["g1"] is True


def test_radial_functions_of_the_published_preset():
    (weighting,) = weightings("xanesnet-2022")
    step = 5.0 / 31.0  # 32 from 0.5 to 5.5
    np.testing.assert_allclose(weighting["g2"]["mu"], [0.5 + step * i for i in range(32)], rtol=1e-14)
    np.testing.assert_allclose(weighting["g2"]["eta"], [1.0 / (2.0 * step**2)] * 32, rtol=1e-13)


def test_angular_functions_of_the_published_preset_are_cut_to_the_first_eight_radii():
    (weighting,) = weightings("xanesnet-2022")
    radii = [1.0 + 4.5 / 63.0 * i for i in range(8)]  # of 64 from 1.0 to 5.5
    assert weighting["g4"]["mu"] == [0.0] * 8
    np.testing.assert_allclose(weighting["g4"]["eta"], [1.0 / (2.0 * r**2) for r in radii], rtol=1e-14)
    assert radii[-1] == pytest.approx(1.5)
    assert (weighting["g4"]["lambda"], weighting["g4"]["zeta"]) == ([1.0, -1.0], [1.0, 2.0, 4.0, 8.0])


def test_radial_functions_of_the_later_preset():
    (weighting,) = weightings("xanesnet-49")
    step = 4.0 / 15.0  # 16 from 1.5 to 5.5
    np.testing.assert_allclose(weighting["g2"]["mu"], [1.5 + step * i for i in range(16)], rtol=1e-14)
    np.testing.assert_allclose(weighting["g2"]["eta"], [1.0 / (2.0 * step**2)] * 16, rtol=1e-13)


def test_angular_functions_of_the_later_preset_are_cut_to_the_first_sixteen_radii():
    (weighting,) = weightings("xanesnet-49")
    radii = [2.0 + 3.5 / 31.0 * i for i in range(16)]  # of 32 from 2.0 to 5.5
    assert weighting["g4"]["mu"] == [0.0] * 16
    np.testing.assert_allclose(weighting["g4"]["eta"], [1.0 / (2.0 * r**2) for r in radii], rtol=1e-14)
    assert radii[-1] == pytest.approx(3.7, abs=0.01)
    assert (weighting["g4"]["lambda"], weighting["g4"]["zeta"]) == ([1.0, -1.0], [1.0])


@pytest.mark.parametrize(("preset", "scale"), [("xanesnet-2022", 1.0), ("xanesnet-49", 0.1)])
def test_weights_are_the_atomic_number_scaled(preset, scale):
    (weighting,) = weightings(preset)
    assert (weighting["weights"], weighting["scale"]) == ("Z", scale)
    ((table,),) = (w["tables"] for w in descriptors.load("wacsf", preset).resolve()["weighting"])
    np.testing.assert_allclose(table, scale * np.arange(119), rtol=1e-15)


@pytest.mark.parametrize(
    ("preset", "n_g2", "n_eta", "zetas"), [("xanesnet-2022", 32, 8, 4), ("xanesnet-49", 16, 16, 1)]
)
def test_columns_are_in_the_published_order(preset, n_g2, n_eta, zetas):
    """G1; G2 by mu; G4 with eta outermost, then lambda, then zeta."""
    labels = descriptors.load("wacsf", preset).labels
    assert labels[0] == "G1"
    mus = [float(label.split("mu=")[1].split()[0]) for label in labels[1 : 1 + n_g2]]
    assert mus == sorted(mus)
    assert all(label.startswith("G2 ") for label in labels[1 : 1 + n_g2])
    angular = [dict(part.split("=") for part in label.split()[2:]) for label in labels[1 + n_g2 :]]
    assert len(angular) == n_eta * 2 * zetas
    order = [
        (-float(a["eta"]), -float(a["lambda"]), float(a["zeta"])) for a in angular
    ]  # eta falls as the radius grows
    assert order == sorted(order)
    assert len(set(order)) == len(order)


def test_default_resolves_elements_the_nearest_shells_paths_and_power_spectra():
    descriptor = descriptors.load("wacsf")
    weightings = descriptor.describe()["weighting"]
    z, electronegativity, elements, near, every, centred, paths, all_paths, all_angles, angles_of = weightings
    expected = ["H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I", "other"]
    assert elements["elements"] == expected
    assert [w["weights"] for w in (z, electronegativity, every, centred, all_paths, all_angles)] == [
        "Z", "electronegativity", "one", "one", "one", "one",
    ]  # fmt: skip
    assert (
        near["elements"]
        == paths["elements"]
        == angles_of["elements"]
        == ["H", "C", ["N", "O", "F"], ["P", "S", "Cl"], "other"]
    )
    assert [w.get("cutoff") for w in weightings] == [None] * 3 + [4.0] * 3 + [5.0] * 2 + [4.0] * 2
    radial, nearby = 32 * (2 + len(expected)), 6 * 24
    angles, along = 4 * 2 * (5 * 3 + 6 + 4), 6 * 24 * 3
    spectra = 8 * (10 + 15)
    assert descriptor.n_features == 1 + radial + nearby + angles + along + spectra == 1521
    assert (descriptor.dtype, descriptor.cutoff) == (np.dtype("float32"), 6.0)


@pytest.mark.parametrize("shorter", [4.0, 5.0])
def test_functions_of_a_shorter_cutoff_are_those_of_a_descriptor_of_that_cutoff(shorter):
    described = descriptors.load("wacsf").describe()
    near = [w for w in described["weighting"] if w.get("cutoff") == shorter]
    alone = [{k: v for k, v in w.items() if k != "cutoff"} for w in near]
    both = {"name": "wacsf", "dtype": "float64", "g1": False}
    atoms = molecule("C6H6")
    atoms.append("Fe")
    atoms.positions[-1] = (0.1, 0.2, 1.7)
    found, expected = (
        descriptors.from_description(both | {"cutoff": cutoff, "weighting": w}).transform(atoms, sites="Fe")
        for cutoff, w in ((6.0, near), (shorter, alone))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 6.1, "4", None])
def test_the_cutoff_of_a_weighting_may_not_exceed_the_descriptor_s(cutoff):
    g2 = {"mu": [1.0], "eta": [1.0]}
    with pytest.raises(DescriptorError, match="weighting 1: expected a cutoff above 0 and up to 6 Å, received"):
        descriptors.from_description(
            {"name": "wacsf", "cutoff": 6.0, "weighting": [{"weights": "Z", "cutoff": cutoff, "g2": g2}]}
        )


def test_default_preset():
    assert descriptors.choose(None, None).hash == descriptors.load("wacsf", "default").hash


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_preset_is_found_by_its_name(preset):
    assert descriptors.presets()[preset] == "wacsf"
    assert descriptors.choose(preset, None).hash == descriptors.load("wacsf", preset).hash


def test_a_descriptors_name_stands_for_its_default_preset():
    assert descriptors.choose("wacsf", None).hash == descriptors.load("wacsf").hash


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(
        DescriptorError, match="descriptor wacsf has no preset 'xanesnet'; it has crystal, default, xanesnet-2022"
    ):
        descriptors.load("wacsf", "xanesnet")


def test_misspelt_preset_gets_a_suggestion():
    with pytest.raises(DescriptorError, match="no descriptor has a preset 'xanesnet-94'; did you mean 'xanesnet-49'"):
        descriptors.choose("xanesnet-94", None)


def test_groups_of_the_preset_for_crystals_hold_every_element_once():
    by_element = [w["elements"] for w in weightings("crystal") if "elements" in w]
    assert {len(groups) for groups in by_element} == {31, 6}
    for groups in by_element:
        named = [symbol for group in groups for symbol in ([group] if isinstance(group, str) else group)]
        assert len(set(named)) == len(named)


def test_crystals_are_told_of_the_preset_for_them(tmp_path, capsys):
    """Molecules are not, nor who chose a descriptor."""
    rutile, water = systems.rutile(), molecule("H2O")
    write(tmp_path / "rutile.cif", rutile)
    write(tmp_path / "water.xyz", water)
    for name, absorber, options, told in (
        ("rutile.cif", "Ti", [], True), ("water.xyz", "O", [], False), ("rutile.cif", "Ti", ["--preset", "rdc"], False)
    ):  # fmt: skip
        store = tmp_path / "s.h5"
        assert run("import", tmp_path / name, "--absorber", absorber, "-o", store, "--overwrite") == 0
        capsys.readouterr()
        assert run("featurise", store, "--overwrite", *options) == 0
        assert ("--preset crystal" in capsys.readouterr().err) is told
