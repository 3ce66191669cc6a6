"""Predictions of sites that a model has not seen, from which it, or another model, is calibrated."""

from dataclasses import replace

import numpy as np
import pytest
from support.trainings import copied, gathered, run_of, train_on

from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.training.held_out import held_out

UNSEEN = 26
"""Iron is in the test set alone."""


@pytest.fixture(scope="module")
def without_iron(small, tmp_path_factory):
    """Return a model that has not seen one element, the configuration, the features, and the test sites it held out."""
    folder = tmp_path_factory.mktemp("unseen")
    path = copied(small, folder)
    with gathered([path], run_of(folder)) as data:
        elements = np.array([data.seen[i][0] for i in data.absorbers])
        test = (elements == UNSEEN) | (np.arange(len(elements)) % 3 == 0)
        rows = [f"{name},{'test' if own else 'train'}" for name, own in zip(data.names, test, strict=True)]
    (folder / "split.csv").write_text("\n".join(["site,part", *rows]) + "\n")
    flags = {"split__file": str(folder / "split.csv")}
    return train_on(path, folder / "m", **flags), run_of(folder, **flags), path, np.flatnonzero(test), elements


def test_absorbers_are_mapped_and_unseen_ones_left_out(without_iron):
    """In the data they have other indices than in the model: as if the model's store had lacked the first element."""
    model, run, path, test, elements = without_iron
    known = test[elements[test] != UNSEEN]
    assert 20 < known.size < test.size
    with gathered([path], run) as data:
        shifted = replace(data, seen=[(3, "K"), *data.seen], absorbers=data.absorbers + 1)
        found = held_out(model, shifted, "test", seed=5)
        x, table = data.first.features.read(0, 120)[known], data.first.features.sites
        y = data.first.targets.read(0, 120)[known]
    own = model.absorbers(np.array(table.element)[known], [table.edge[i] for i in known])
    drawn, evidence = model.sample(x, own, DRAWS, 5)
    assert found.n_sites == known.size
    np.testing.assert_array_equal(found.reference, y)
    np.testing.assert_allclose(found.mean, drawn.mean, rtol=1e-6)
    np.testing.assert_allclose(found.evidence.spread, evidence.spread, rtol=1e-6)
    np.testing.assert_array_equal([shifted.seen[i][0] for i in found.evidence.absorbers], elements[known])


def test_a_set_without_sites_that_the_model_can_judge(without_iron):
    model, run, path, _, elements = without_iron
    with gathered([path], run) as data:
        assert held_out(model, data, "validation", seed=0) is None
        unseen = np.where(elements == UNSEEN, SETS.index("validation"), data.sets)
        assert held_out(model, replace(data, sets=unseen), "validation", seed=0) is None
