"""Units of spectra: told by an import, held by training, and compared with those of references."""

import numpy as np
import pytest
from support.builders import table, write, write_xyz

from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.target_plan import plan_targets
from xanes_hpc.descriptors import choose
from xanes_hpc.errors import SpectrumError
from xanes_hpc.features.featurise import featurise_in_memory
from xanes_hpc.importing.from_files import import_in_memory
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.prediction.sources import references_of
from xanes_hpc.spectra.recipe import NormalisationConfig, Recipe

ENERGIES = np.arange(5960.0, 6100.0, 0.5)
MU = 0.5 + np.arctan((ENERGIES - 5989.0) / 2.0) / np.pi
CHROMIUM = [("Cr", 0, 0, 0), ("O", 0, 0, 2.0)]


@pytest.fixture
def mixed(tmp_path):
    """Two raw spectra, and one that its title calls normalised."""
    for name, title in (("a", "mu"), ("b", "mu"), ("c", "norm")):
        write_xyz(tmp_path / "x" / f"{name}.xyz", CHROMIUM)
        write(tmp_path / "s" / f"{name}.dat", f"# energy {title}\n" + table(np.column_stack([ENERGIES, MU])))
    return import_in_memory([tmp_path / "x"], ImportOptions(spectra=(tmp_path / "s",)))


def test_an_import_counts_units(mixed):
    _, summary = mixed
    assert summary.units == {"arbitrary": 2, "normalised": 1}
    assert summary.as_dict()["units"] == {"arbitrary": 2, "normalised": 1}


def test_training_refuses_mixed_units_unless_it_normalises(mixed):
    store, _ = mixed
    pairs = [(featurise_in_memory(store, choose("xanesnet-49", None)), store)]
    with pytest.raises(SpectrumError, match="several units of xanes: 2 arbitrary, 1 normalised; give"):
        plan_targets(pairs, TargetConfig())
    recipe = Recipe(normalisation=NormalisationConfig(name="edge-step"))
    assert plan_targets(pairs, TargetConfig(), recipe).rows[0].size == 3


class Model:
    """What a model says of its target."""

    def __init__(self, unit):
        treatment = '{"name":"unstated"}'
        self.description = {"target": {"kind": "xanes", "treatment": treatment, "unit": unit}}
        self.recipe = Recipe()


@pytest.mark.parametrize("unit", ["arbitrary", "Mbarn"])
def test_references_in_other_units(mixed, unit):
    found = references_of(Model(unit), mixed[0])
    assert found.rows.tolist() == [0, 1, 2]
    assert found.unit == "arbitrary, normalised"
