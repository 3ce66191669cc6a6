"""Contracts of every descriptor, preset and architecture, including ones added as a file."""

import re
import sys
from textwrap import dedent

import numpy as np
import pytest
from support import contracts

from xanes_hpc import descriptors
from xanes_hpc.errors import ModelError
from xanes_hpc.models import architectures
from xanes_hpc.models.layers import Layer, shapes


def all_presets():
    """Return (descriptor, preset) for all presets."""
    parts = {name: descriptors.PLUGINS.find(name) for name in descriptors.names()}
    return [(name, preset) for name, part in parts.items() for preset in part.PRESETS]


@pytest.mark.parametrize(("name", "preset"), all_presets())
@pytest.mark.parametrize("rule", contracts.DESCRIPTOR, ids=lambda rule: rule.__name__)
def test_descriptor(rule, name, preset):
    descriptor = descriptors.load(name, preset)
    assert descriptor.name == name
    rule(descriptor)


@pytest.mark.parametrize("name", architectures.names())
@pytest.mark.parametrize("rule", contracts.MODEL, ids=lambda rule: rule.__name__)
def test_architecture(rule, name):
    assert name in architectures.names()
    rule(name)


def test_there_are_descriptors_and_architectures():
    assert "wacsf" in descriptors.names()
    assert "mlp" in architectures.names()
    assert {"xanesnet-2022", "xanesnet-49", "default"} <= {preset for _, preset in all_presets()}


def test_every_descriptor_of_structures_has_presets_with_unique_names():
    names = [preset for _, preset in all_presets()]
    assert len(set(names)) == len(names)
    assert {name for name, _ in all_presets()} == set(descriptors.names()) - {"foreign"}


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Return a function that adds a file to a package, as a contributor would, for the duration of a test."""

    def add(package, name, source):
        (tmp_path / f"{name}.py").write_text(dedent(source))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        full = f"{package.__name__}.{name}"
        modules.append(full)

    modules = []
    yield add
    for module in modules:
        sys.modules.pop(module, None)


COORDINATION = """
    import numpy as np
    from xanes_hpc.descriptors.base import Descriptor, check_keys

    class Coordination(Descriptor):
        name = "coordination"
        PRESETS = {"default": lambda: {"cutoff": 5.0}}

        def __init__(self, description):
            check_keys("descriptor coordination", description, {"name", "cutoff"})
            self.cutoff, self.dtype = float(description["cutoff"]), np.dtype("float64")
            self.labels = ["n", "sum 1/r", "sum z/r"]

        def describe(self):
            return {"name": self.name, "cutoff": self.cutoff}

        resolve = describe

        def fill(self, batch, neighbours, out):
            site = np.repeat(np.arange(batch.n_sites), np.diff(neighbours.offsets))
            z = batch.numbers[neighbours.atoms]
            for column, values in enumerate((np.ones(site.size), 1 / neighbours.distances, z / neighbours.distances)):
                out[:, column] = np.bincount(site, values, batch.n_sites)

    PLUGIN = Coordination
"""


def test_new_file_of_a_descriptor_is_picked_up_and_meets_the_contract(added):
    added(descriptors, "coordination", COORDINATION)
    assert ("coordination", "default") in all_presets()
    for rule in contracts.DESCRIPTOR:
        rule(descriptors.load("coordination"))


def test_contract_catches_a_descriptor_that_depends_on_orientation(added):
    added(
        descriptors, "coordination", COORDINATION.replace("1 / neighbours.distances, z", "neighbours.vectors[:, 0], z")
    )
    descriptor = descriptors.load("coordination")
    with pytest.raises(AssertionError):
        contracts.is_invariant_under_rotation_and_translation(descriptor)
    contracts.does_not_depend_on_the_order_of_atoms(descriptor)


LINEAR = """
    from xanes_hpc.models.layers import Layer
    from xanes_hpc.models.architectures._parameters import resolve

    def linear(parameters, n_features, n_energies):
        return resolve("linear", parameters, {}), (Layer("dense", "output", units=n_energies),)

    PLUGIN = linear
"""


def test_new_file_of_an_architecture_is_picked_up_and_meets_the_contract(added):
    added(architectures, "linear", LINEAR)
    assert "linear" in architectures.names()
    for rule in contracts.MODEL:
        rule("linear")


def test_contract_catches_an_architecture_with_a_fixed_end(added):
    added(architectures, "linear", LINEAR.replace("units=n_energies", "units=226"))
    with pytest.raises(ModelError, match=r"architecture linear: expected an output of shape \(1,\), received \(226,\)"):
        contracts.ends_in_one_value_per_energy("linear")


def test_layers_that_do_not_fit_together_are_refused(added):
    added(
        architectures,
        "linear",
        LINEAR.replace('(Layer("dense"', '(Layer("convolution", "c", size=3, units=2), Layer("dense"'),
    )
    with pytest.raises(ModelError, match=r"layer c \(convolution\) does not accept inputs of shape \(9,\)"):
        architectures.build("linear", {}, 9, 5)


def test_unknown_architecture_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"no architecture is called 'transformer'; expected one of .*mlp"):
        architectures.build("transformer", {}, 3, 3)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [Layer("dense", "a", units=2), Layer("dense", "a", units=3)],
            "layer a: the name is already used, or one",
        ),
        ([Layer("dense", "features", units=2)], "layer features: the name is already used, or one of its inputs"),
        (
            [Layer("dense", "a", ("b",), units=2), Layer("dense", "b", units=3)],
            "layer a: the name is already used, or one",
        ),
        (
            [Layer("dense", "a", units=2), Layer("add", "b", ("a", "features"))],
            "layer b (add) does not accept inputs of shape (2,), (9",
        ),
        ([Layer("reshape", "a", size=2, units=4)], "layer a (reshape) does not accept inputs of shape (9,)"),
        ([Layer("crop", "a", units=10)], "layer a (crop) does not accept inputs of shape (9,)"),
        ([Layer("recurrent", "a", units=10)], "layer a (recurrent) does not accept inputs of shape (9,)"),
        (
            [Layer("reshape", "a", size=9, units=1), Layer("convolution", "b", size=4, units=1)],
            "layer b (convolution) does not accept inputs of shape (9, 1)",
        ),
    ],
)
def test_invalid_layers_are_refused(layers, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        shapes(layers, 9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden": []}, r"expected hidden as a list of widths such as \[512, 512\], received \[\]"),
        ({"hidden": 64}, "expected hidden as a list of widths"),
        ({"hidden": [64, 0]}, "expected hidden as a list of widths"),
        ({"hidden": [True]}, "expected hidden as a list of widths"),
        ({"activation": "swish"}, "expected activation as one of gelu, relu, silu, tanh, linear, received 'swish'"),
        ({"dropout": 1.0}, "expected dropout as a number from 0 to below 1, received 1.0"),
        ({"dropout": "high"}, "expected dropout as a number from 0 to below 1, received 'high'"),
        ({"width": 5}, "architecture mlp has no parameter 'width'; it has activation, dropout, hidden"),
    ],
)
def test_invalid_parameters_of_a_perceptron(parameters, message):
    with pytest.raises(ModelError, match=message):
        architectures.build("mlp", parameters, 10, 20)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("residual", {"blocks": 0}, "residual: expected blocks as a whole number from 1 to 1024, received 0"),
        ("residual", {"widht": 64}, "architecture residual has no parameter 'widht'; did you mean 'width'?"),
        (
            "conditioned",
            {"width": 64.0},
            "conditioned: expected width as a whole number from 1 to 65536, received 64.0",
        ),
        ("convolutional", {"kernel": 4}, "convolutional: expected kernel as an odd whole number from 1 to 1024, rec"),
        ("convolutional", {"stages": 11}, "convolutional: expected stages as a whole number from 1 to 10, received 11"),
        ("convolutional", {"channels": "32"}, "convolutional: expected channels as a whole number from 1 to 65536"),
    ],
)
def test_invalid_parameters_of_other_networks(name, parameters, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        architectures.build(name, parameters, 10, 20)


def test_perceptron_has_a_dropout_after_every_hidden_layer():
    _, layers = architectures.build("mlp", {"hidden": [8, 4], "activation": "tanh", "dropout": 0.25}, 10, 20)
    kinds = ["dense", "activation", "dropout"] * 2 + ["dense"]
    assert [layer.kind for layer in layers] == kinds
    assert [layer.units for layer in layers if layer.kind == "dense"] == [8, 4, 20]
    assert {layer.rate for layer in layers if layer.kind == "dropout"} == {0.25}
    np.testing.assert_array_equal([layer.function for layer in layers if layer.kind == "activation"], ["tanh", "tanh"])
