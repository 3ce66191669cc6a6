"""Descriptors from other packages: the example in the docs as if installed, and clashing and broken ones."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from support import contracts, systems
from support.builders import refused, run
from support.places import ROOT
from support.stored import write_structures

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError
from xanes_hpc.stores.features import FeatureStore

DOCS = ROOT / "docs" / "descriptors.md"
GROUP = "xanes_hpc.descriptors"


@pytest.fixture
def installed(tmp_path_factory, monkeypatch):
    """Return a function that installs a package on the path as an installer does, for the duration of a test."""

    def install(name, modules, entry_points):
        folder = tmp_path_factory.mktemp("site-packages")
        information = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
        lines = [f"{part} = {target}" for part, target in entry_points.items()]
        (information / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        for module, source in modules.items():
            monkeypatch.delitem(sys.modules, module, raising=False)
            added.append(module)
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(folder)

    added = []
    yield install
    for module in added:
        sys.modules.pop(module, None)


def documented():
    """Return the files of the docs' example, by name."""
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture
def shells(installed):
    """Install the example."""
    files = documented()
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    installed(project["name"], {Path(f).stem: text for f, text in files.items()}, project["entry-points"][GROUP])


def test_example_is_unknown_until_it_is_installed():
    assert set(documented()) == {"pyproject.toml", "xanes_shells.py"}
    assert "shells" not in descriptors.names()


def test_example_is_found_by_its_name(shells):
    assert "shells" in descriptors.names()
    assert descriptors.presets()["shells"] == "shells"
    descriptor = descriptors.load("shells")
    assert type(descriptor).__module__ == "xanes_shells"
    assert descriptors.choose("shells", None).hash == descriptor.hash


@pytest.mark.parametrize("rule", contracts.DESCRIPTOR, ids=lambda rule: rule.__name__)
def test_example_meets_the_contract(shells, rule):
    rule(descriptors.load("shells"))


def test_example_counts_neighbours(shells):
    descriptor = descriptors.from_description({"name": "shells", "radii": [2.0, 2.82, 3.3, 4.4, 5.3], "width": 0.4})
    counts = descriptor.transform([systems.NAMED["rock salt"](), Atoms("Fe")], [0, 0])
    # Na-Cl 2.82, Na-Na 3.99, Na-Cl 4.88 Å
    np.testing.assert_allclose(counts, [[0, 3, 6, 18, 26], [0] * 5], rtol=1e-6)


def test_example_does_not_jump_at_its_cutoff(shells):
    descriptor = descriptors.load("shells")
    just_inside = Atoms("FeO", positions=[[0, 0, 0], [0, 0, descriptor.cutoff - 1e-6]])
    assert descriptor.transform(just_inside, 0).max() < 1e-9


@pytest.mark.parametrize(
    "change", [{"radii": []}, {"radii": "far"}, {"radii": [0.0]}, {"width": 0}, {"width": None}], ids=str
)
def test_example_refuses_invalid_descriptions(shells, change):
    with pytest.raises(DescriptorError, match="descriptor shells: expected radii"):
        descriptors.from_description(descriptors.load("shells").describe() | change)


def test_featurise_accepts_the_preset_of_the_example(shells, tmp_path):
    write_structures(tmp_path / "s.h5")
    assert run("featurise", tmp_path / "s.h5", "--preset", "shells") == 0
    with FeatureStore(tmp_path / "s.features.h5") as features:
        assert features.description == descriptors.load("shells").describe()
        assert features.read(0, features.n_sites)[:, -1].min() >= 1


def test_our_presets_win_a_clash_of_names(installed, tmp_path):
    source = documented()["xanes_shells.py"].replace('PRESETS = {"shells":', 'PRESETS = {"default":')
    before = descriptors.load("wacsf").hash
    installed("aardvark", {"aardvark": source.replace('"shells"', '"aardvark"')}, {"aardvark": "aardvark:PLUGIN"})
    assert descriptors.names()[0] == "aardvark"
    assert descriptors.presets()["default"] == "wacsf"
    assert descriptors.choose("default", None).hash == descriptors.choose(None, None).hash == before
    assert descriptors.load("aardvark").name == "aardvark"


def test_our_descriptor_wins_a_clash_of_names(installed):
    before = descriptors.load("wacsf").hash
    installed("impostor", {"impostor": documented()["xanes_shells.py"]}, {"wacsf": "impostor:PLUGIN"})
    assert descriptors.load("wacsf").hash == before


BROKEN = {
    "import": ("import no_such_package\n", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'"),
    "no part": ("", "descriptor broken of broken-dist cannot be loaded: AttributeError: "),
    "something else": ("PLUGIN = 5\n", "descriptor broken: expected a class of Descriptor with PRESETS, received 5"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_descriptor_is_named_and_does_not_stop_ours(installed, tmp_path, capsys, case):
    source, message = BROKEN[case]
    installed("broken-dist", {"broken_module": source}, {"broken": "broken_module:PLUGIN"})
    with pytest.raises(DescriptorError) as caught:
        descriptors.load("broken")
    assert message in str(caught.value)
    write_structures(tmp_path / "s.h5")
    assert message in refused(capsys, tmp_path, "featurise", tmp_path / "s.h5", "--preset", "broken")
    assert run("featurise", tmp_path / "s.h5", "--preset", "xanesnet-49") == 0


def test_descriptor_without_presets_has_no_default(installed):
    source = re.sub(r"PRESETS = .*", "PRESETS = {}", documented()["xanes_shells.py"])
    installed("bare-shells", {"bare_shells": source}, {"shells": "bare_shells:PLUGIN"})
    with pytest.raises(DescriptorError, match="descriptor shells has no preset 'default'; it has none"):
        descriptors.load("shells")
    assert descriptors.from_description({"name": "shells", "radii": [2.0], "width": 0.5}).n_features == 1


def test_first_preset_is_loaded_if_none_is_called_default(installed):
    source = re.sub(
        r"PRESETS = .*",
        'PRESETS = {n: lambda r=r: {"radii": [r], "width": 0.5} for n, r in {"wide": 4.0, "narrow": 2.0}.items()}',
        documented()["xanes_shells.py"],
    )
    installed("two-shells", {"two_shells": source}, {"shells": "two_shells:PLUGIN"})
    assert descriptors.load("shells").describe()["radii"] == [4.0]
    assert descriptors.load("shells", "narrow").describe()["radii"] == [2.0]
