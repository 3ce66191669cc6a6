"""Descriptions of symmetry functions: their meaning, their hash, and errors."""

import copy
import json
import math

import numpy as np
import pytest
from support import systems

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError
from xanes_hpc.runtime import threads

G2 = {"mu": [1.0, 2.0], "eta": [0.5, 0.25]}
G4 = {"mu": [0.0], "eta": [0.1], "lambda": [1.0, -1.0], "zeta": [1.0, 4.0]}
FULL = {
    "name": "wacsf",
    "cutoff": 6.0,
    "dtype": "float64",
    "g1": True,
    "weighting": [
        {"weights": "Z", "scale": 0.5, "g2": G2, "g4": G4},
        {"elements": ["H", ["C", "N"], "other"], "g2": G2},
    ],
}


def built(**changes):
    return descriptors.from_description(FULL | changes)


def weighted(**weighting):
    return {**FULL, "weighting": [weighting]}


@pytest.mark.parametrize("preset", ["xanesnet-2022", "xanesnet-49", "default"])
def test_preset_and_its_full_description_give_the_same_descriptor(preset):
    descriptor = descriptors.load("wacsf", preset)
    again = descriptors.from_description(json.loads(json.dumps(descriptor.describe())))
    assert again.hash == descriptor.hash
    assert again.labels == descriptor.labels
    assert again.describe() == descriptor.describe()
    atoms = systems.ferrocene_like()
    np.testing.assert_array_equal(again.transform(atoms), descriptor.transform(atoms))


def test_style_and_its_numbers_have_the_same_hash():
    mu = np.linspace(0.5, 5.5, 4)
    explicit = {"mu": mu.tolist(), "eta": [1.0 / (2.0 * (mu[1] - mu[0]) ** 2)] * 4}
    style = {"style": "shifted", "n": 4, "r_min": 0, "r_max": 6}
    hashes = {descriptors.from_description(weighted(weights="Z", g2=g2)).hash for g2 in (explicit, style)}
    assert len(hashes) == 1


def test_defaults_and_whole_numbers_do_not_change_the_hash():
    short = {
        "name": "wacsf",
        "cutoff": 6,
        "weighting": [{"weights": "Z", "g4": {**G4, "lambda": [1, -1], "zeta": [1, 4]}}],
    }
    full = {**FULL, "weighting": [{"weights": "Z", "scale": 1, "g4": G4}]}
    assert descriptors.from_description(short).hash == descriptors.from_description(full).hash


def test_order_of_keys_does_not_change_the_hash():
    backwards = {key: FULL[key] for key in reversed(FULL)}
    assert descriptors.from_description(backwards).hash == built().hash


def paths_to_numbers(value, path=()):
    """Yield the path to each number and each switch of a description."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in paths_to_numbers(v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in paths_to_numbers(v, (*path, i))]
    return [] if isinstance(value, str) else [path]


@pytest.mark.parametrize("path", paths_to_numbers(FULL), ids=lambda p: ".".join(map(str, p)))
def test_any_number_changes_the_hash(path):
    changed = copy.deepcopy(FULL)
    *parents, last = path
    node = changed
    for key in parents:
        node = node[key]
    node[last] = (not node[last]) if isinstance(node[last], bool) else math.nextafter(node[last], 0.3)
    assert descriptors.from_description(changed).hash != built().hash


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "float32"},
        {"weighting": FULL["weighting"][::-1]},
        {"weighting": FULL["weighting"][:1]},
        {"weighting": [FULL["weighting"][0], {"elements": ["H", ["C", "O"], "other"], "g2": G2}]},
        {"weighting": [FULL["weighting"][0], {"elements": ["H", ["C", "N"]], "g2": G2}]},
        {"weighting": [{**FULL["weighting"][0], "weights": "one"}, FULL["weighting"][1]]},
    ],
    ids=["dtype", "order", "fewer", "another element", "no rest", "other weights"],
)
def test_any_other_change_of_meaning_changes_the_hash(changes):
    assert built(**changes).hash != built().hash


def test_hash_does_not_depend_on_threads():
    with threads.limited_to(1):
        assert built().hash == descriptors.from_description(FULL).hash
        one = built().hash
    assert built().hash == one
    assert len(one) == 64


def test_published_presets_keep_their_hashes():
    """A changed hash would orphan all existing feature stores and models."""
    hashes = {p: descriptors.load("wacsf", p).hash[:12] for p in ("xanesnet-2022", "xanesnet-49")}
    assert hashes == {"xanesnet-2022": "972f575acc08", "xanesnet-49": "875b520cdf4b"}


def test_dtype_of_a_preset_can_be_chosen():
    atoms = systems.ferrocene_like()
    single, double = (descriptors.load("wacsf", "xanesnet-2022", dtype=d) for d in ("float32", "float64"))
    assert single.transform(atoms).dtype == np.float32
    assert double.transform(atoms).dtype == np.float64
    np.testing.assert_allclose(single.transform(atoms), double.transform(atoms), rtol=1e-4, atol=1e-9)


def test_toml_file_describes_a_descriptor(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "wacsf"\ncutoff = 6.0\n[[weighting]]\nweights = "Z"\nscale = 0.5\n'
        "g2 = { mu = [1.0, 2.0], eta = [0.5, 0.25] }\n"
        "g4 = { mu = [0], eta = [0.1], lambda = [1, -1], zeta = [1, 4] }\n"
        '[[weighting]]\nelements = ["H", ["C", "N"], "other"]\ng2 = { mu = [1, 2], eta = [0.5, 0.25] }\n'
    )
    assert descriptors.read_toml(path).hash == built().hash


STYLE = {"style": "shifted", "n": 4, "r_min": 0.0, "r_max": 6.0}
CENTRED = {**STYLE, "style": "centred"}
REFUSED = {
    "no name": ({"cutoff": 6.0}, "description of a descriptor has no name"),
    "misspelt name": ({**FULL, "name": "wacfs"}, "no descriptor is called 'wacfs'; did you mean 'wacsf'?"),
    "unknown key": (
        {**FULL, "cut": 6.0},
        "descriptor wacsf has no key 'cut'; it has cutoff, dtype, g1, name, weighting",
    ),
    "no cutoff": ({"name": "wacsf"}, "expected a cutoff above 0 (Å), received None"),
    "cutoff 0": ({**FULL, "cutoff": 0.0}, "expected a cutoff above 0 (Å), received 0.0"),
    "cutoff text": ({**FULL, "cutoff": "6"}, "expected a cutoff above 0 (Å), received '6'"),
    "cutoff without end": ({**FULL, "cutoff": math.inf}, "expected a cutoff above 0 (Å), received inf"),
    "cutoff nan": ({**FULL, "cutoff": math.nan}, "expected a cutoff above 0 (Å), received nan"),
    "dtype": ({**FULL, "dtype": "float16"}, "expected dtype float32 or float64, received 'float16'"),
    "g1": ({**FULL, "g1": "no"}, "expected g1 true or false, received 'no'"),
    "weighting": ({**FULL, "weighting": "Z"}, "expected weighting as a list of tables, received 'Z'"),
    "nothing": ({"name": "wacsf", "cutoff": 6.0, "g1": False}, "descriptor wacsf: expected at least one function"),
    "weighting no table": ({**FULL, "weighting": [1]}, "weighting 1: expected a table of keys and values, received 1"),
    "second weighting": ({**FULL, "weighting": [{"weights": "Z", "g2": G2}, {"x": 1}]}, "weighting 2 has no key 'x'"),
    "both": (weighted(weights="Z", elements=["H"], g2=G2), "weighting 1: expected either weights or elements"),
    "neither": (weighted(g2=G2), "weighting 1: expected either weights or elements"),
    "weights": (
        weighted(weights="mass", g2=G2),
        "weighting 1: expected weights Z, one or electronegativity, received 'mass'",
    ),
    "weights list": (
        weighted(weights=["Z"], g2=G2),
        "weighting 1: expected weights Z, one or electronegativity, received ['Z']",
    ),
    "scale": (weighted(weights="Z", scale="x", g2=G2), "weighting 1: expected a finite number for scale, received 'x'"),
    "scale of elements": (weighted(elements=["H"], scale=2.0, g2=G2), "weighting 1 by elements has no key 'scale'"),
    "no elements": (weighted(elements=[], g2=G2), "weighting 1: expected a list of elements or groups of elements"),
    "empty group": (weighted(elements=["H", []], g2=G2), "weighting 1: expected a list of elements or groups"),
    "elements text": (weighted(elements="Fe", g2=G2), "weighting 1: expected a list of elements or groups of elements"),
    "element number": (weighted(elements=[26], g2=G2), "expected element symbols or 'other', received 26"),
    "element unknown": (weighted(elements=["Xx"], g2=G2), "expected element symbols or 'other', received 'Xx'"),
    "element twice": (weighted(elements=["H", ["C", "H"]], g2=G2), "weighting 1: elements: H is listed twice"),
    "other twice": (weighted(elements=["other", "other"], g2=G2), "weighting 1: elements: 'other' is listed twice"),
    "no functions": (weighted(weights="Z"), "weighting 1: expected at least one of g2, g4, paths"),
    "g2 no table": (weighted(weights="Z", g2=[1.0]), "weighting 1, g2: expected a table of keys and values"),
    "g2 key": (weighted(weights="Z", g2={**G2, "zeta": [1]}), "weighting 1, g2 has no key 'zeta'"),
    "g4 key": (weighted(weights="Z", g4={**G4, "theta": [1]}), "weighting 1, g4 has no key 'theta'"),
    "mu missing": (weighted(weights="Z", g2={"eta": [1.0]}), "weighting 1, g2: mu is missing"),
    "mu text": (weighted(weights="Z", g2={**G2, "mu": ["a", "b"]}), "expected numbers for mu, received ['a', 'b']"),
    "mu none": (weighted(weights="Z", g2={"mu": [], "eta": []}), "expected finite numbers for mu, at least one"),
    "mu nan": (weighted(weights="Z", g2={**G2, "mu": [1.0, math.nan]}), "expected finite numbers for mu, at least one"),
    "mu and eta": (weighted(weights="Z", g2={**G2, "eta": [1.0]}), "expected as many mu as eta, received 2 and 1"),
    "eta negative": (weighted(weights="Z", g2={**G2, "eta": [1.0, -0.5]}), "expected eta >= 0, received -0.5"),
    "lambda": (weighted(weights="Z", g4={**G4, "lambda": [1.5]}), "expected lambda from -1 to 1 and zeta above 0"),
    "zeta": (weighted(weights="Z", g4={**G4, "zeta": [0.0]}), "expected lambda from -1 to 1 and zeta above 0"),
    "zeta missing": (weighted(weights="Z", g4={**G2, "lambda": [1.0]}), "weighting 1, g4: zeta is missing"),
    "path zeta": (weighted(weights="Z", paths={**G2, "zeta": [-1.0]}), "paths: expected zeta of at least 0"),
    "path zeta missing": (weighted(weights="Z", paths=G2), "weighting 1, paths: zeta is missing"),
    "path lambda": (
        weighted(weights="Z", paths={**G2, "zeta": [1], "lambda": [1]}),
        "weighting 1, paths has no key 'lambda'",
    ),
    "style": (
        weighted(weights="Z", g2={**STYLE, "style": "even"}),
        "expected style shifted or centred, received 'even'",
    ),
    "style n": (weighted(weights="Z", g2={**STYLE, "n": 1}), "a style needs n (at least 2), r_min and r_max"),
    "style range": (
        weighted(weights="Z", g2={"style": "shifted", "n": 4}),
        "a style needs n (at least 2), r_min and r_max",
    ),
    "style nan": (
        weighted(weights="Z", g2={**STYLE, "r_max": math.nan}),
        "a style needs n (at least 2), r_min and r_max",
    ),
    "style empty": (
        weighted(weights="Z", g2={**STYLE, "r_max": 1.0}),
        "expected ascending radii above 0, received 0.5 to 0.5",
    ),
    "radius 0": (
        weighted(weights="Z", g2={**CENTRED, "r_min": -1.0}),
        "expected ascending radii above 0, received 0 to 5.5",
    ),
    "keep": (
        weighted(weights="Z", g2={**CENTRED, "keep": 5}),
        "weighting 1, g2: expected keep from 1 to n, received 5",
    ),
    "keep of shifted": (weighted(weights="Z", g2={**STYLE, "keep": 2}), "g2 with style shifted has no key 'keep'"),
    "style and mu": (weighted(weights="Z", g2={**STYLE, "mu": [1.0]}), "g2 with style shifted has no key 'mu'"),
    "mu and n": (weighted(weights="Z", g2={**G2, "n": 4}), "weighting 1, g2 without a style has no key 'n'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_descriptions(case):
    description, message = REFUSED[case]
    with pytest.raises(DescriptorError) as caught:
        descriptors.from_description(description)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_in_toml_name_the_file(tmp_path):
    wrong, broken = tmp_path / "wrong.toml", tmp_path / "broken.toml"
    wrong.write_text('name = "wacsf"\ncutoff = -1.0\n')
    broken.write_text("name = \n")
    for path, message in (
        (wrong, f"{wrong}: descriptor wacsf: expected a cutoff above 0"),
        (broken, f"{broken}: not TOML: "),
        (tmp_path / "none.toml", f"{tmp_path / 'none.toml'}: cannot be read: no such file"),
    ):
        with pytest.raises(DescriptorError) as caught:
            descriptors.read_toml(path)
        assert str(caught.value).startswith(message)


def test_preset_and_description_together_are_refused(tmp_path):
    with pytest.raises(DescriptorError, match="expected `preset` or `description`, received both"):
        descriptors.choose("default", tmp_path / "mine.toml")
