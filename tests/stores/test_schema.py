"""Validating files against their schema: one line names what is missing or wrong."""

import re
import shutil
from importlib.resources import files

import h5py
import numpy as np
import pytest
from support import stored
from support.places import ARCHIVES, ROOT
from support.stored import refused

import xanes_hpc_schema
from xanes_hpc.errors import StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.average import average
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.hdf5 import is_kind
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc_schema import CURRENT, KINDS, SchemaError, load, validate


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with ``s.h5`` and ``f.h5``. Read only."""
    return stored.write_features(tmp_path_factory.mktemp("stores")).parent


def test_validate_returns_the_lengths(stores):
    with h5py.File(stores / "s.h5") as file:
        lengths = validate(file, "structures")
    assert lengths == {"n_atoms": 9, "n_structures": 3, "n_sites": 4, "n_spectra": 3, "n_points": 15}


def required(kind):
    return [name for name, entry in load(kind)["datasets"].items() if not entry.get("optional")]


def without(name):
    def change(file):
        del file[name]

    return change


@pytest.mark.parametrize("name", required("structures"))
def test_structure_store_without_a_dataset(stores, tmp_path, name):
    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", without(name))
    assert refused(path) == f"structure store lacks the dataset {name}"


@pytest.mark.parametrize("name", required("features"))
def test_feature_store_without_a_dataset(stores, tmp_path, name):
    path = stored.changed(stores / "f.h5", tmp_path / "f.h5", without(name))
    assert refused(path) == f"feature store lacks the dataset {name}"


CHARGE = "structures/properties/charge"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("atoms/numbers", np.zeros(9, "i4"), "expected uint8, received int32"),
        ("atoms/numbers", h5py.Empty("u1"), "has no data"),
        ("atoms/positions", np.zeros((9, 3), "f4"), "expected float64, received float32"),
        ("atoms/positions", np.zeros((9, 3), ">f8"), "expected float64, received >f8"),
        ("atoms/positions", np.zeros(27), "expected 2 dimensions, received 1"),
        ("atoms/positions", np.zeros((9, 2)), "expected length 3 for 3, received 2"),
        ("atoms/positions", np.zeros((8, 3)), "expected length 9 for n_atoms, received 8"),
        ("structures/offsets", np.zeros(3, "i8"), "expected length 4 for n_structures+1, received 3"),
        ("structures/pbc", np.zeros((3, 3), "u1"), "expected bool, received uint8"),
        ("sites/name", np.zeros(4), "expected string, received float64"),
        ("sites/weight", np.ones(5), "expected length 4 for n_sites, received 5"),
        ("spectra/intensities", np.ones(14), "expected length 15 for n_points, received 14"),
        (CHARGE, np.ones(2), "expected length 3 for n_structures, received 2"),
        (CHARGE, np.ones(3, "i8"), "expected float64 or string, received int64"),
    ],
)
def test_dataset_of_wrong_type_or_shape(stores, tmp_path, name, data, message):
    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", stored.replaced(name, data))
    assert refused(path) == f"{name}: {message}"


def as_group(name):
    def change(file):
        del file[name]
        file.create_group(name)

    return change


def as_dataset(name):
    def change(file):
        del file[name]
        file[name] = np.zeros(3)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (as_group("atoms/numbers"), "structure store lacks the dataset atoms/numbers"),
        (as_dataset("sites"), "structure store lacks the dataset sites/name"),
        (as_dataset("structures/properties"), "structures/properties: expected a group, received a dataset"),
        (as_group("structures/properties/charge"), "structures/properties/charge: expected a dataset"),
    ],
)
def test_group_in_place_of_a_dataset_and_vice_versa(stores, tmp_path, change, message):
    assert refused(stored.changed(stores / "s.h5", tmp_path / "s.h5", change)) == message


def linked(name, link):
    def change(file):
        del file[name]
        file[name] = link

    return change


def test_link_into_another_file_is_not_followed(stores, tmp_path):
    link = h5py.ExternalLink(str(stores / "s.h5"), "atoms/numbers")
    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", linked("atoms/numbers", link))
    assert refused(path) == "atoms/numbers: expected data in this file, received data in another one"


def test_virtual_dataset_is_not_followed(stores, tmp_path):
    layout = h5py.VirtualLayout((9,), "u1")
    layout[:] = h5py.VirtualSource(str(stores / "s.h5"), "atoms/numbers", (9,))

    def change(file):
        del file["atoms/numbers"]
        file.create_virtual_dataset("atoms/numbers", layout)

    assert (
        refused(stored.changed(stores / "s.h5", tmp_path / "s.h5", change))
        == "atoms/numbers: expected data in this file, received data in another one"
    )


def test_broken_link_in_the_properties_is_refused(stores, tmp_path):
    change = linked("structures/properties/charge", h5py.SoftLink("/nowhere"))
    assert (
        refused(stored.changed(stores / "s.h5", tmp_path / "s.h5", change))
        == "structures/properties/charge: expected a dataset"
    )


def with_attribute(name, value):
    def change(file):
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return change


NOT_OURS = "an HDF5 file, but not a store of xanes-hpc (no such 'format' attribute)"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schema_version", 2, r"structure store of schema 2, written by xanes-hpc \S+; .* up to schema 1: upgrade it"),
        ("schema_version", None, "structure store without a valid schema_version"),
        ("schema_version", "1", "structure store without a valid schema_version"),
        ("schema_version", 0, "structure store without a valid schema_version"),
        ("schema_version", [1, 1], "structure store without a valid schema_version"),
        ("format", None, re.escape(NOT_OURS)),
        ("format", "xanes-hpc/orbitals", re.escape(NOT_OURS)),
        ("format", 3, re.escape(NOT_OURS)),
        ("creator", None, "the file lacks the attribute creator"),
        ("digest_structures", None, "the file lacks the attribute digest_structures"),
        ("digest_spectra", 7, "the file: attribute digest_spectra: expected string"),
    ],
)  # fmt: skip
def test_missing_or_invalid_attribute(stores, tmp_path, name, value, message):
    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", with_attribute(name, value))
    assert re.fullmatch(message, refused(path))


def test_newer_store_names_the_program_that_wrote_it(stores, tmp_path):
    def change(file):
        file.attrs["schema_version"], file.attrs["creator"] = 7, "xanes-hpc 3.1"

    message = refused(stored.changed(stores / "s.h5", tmp_path / "s.h5", change))
    assert message.startswith("structure store of schema 7, written by xanes-hpc 3.1; ")


def test_text_attributes_stored_as_bytes_are_read(stores, tmp_path):
    """Other programs write them so."""

    def change(file):
        for name in ("format", "creator", "digest_structures"):
            file.attrs[name] = np.bytes_(file.attrs[name])

    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", change)
    with StructureStore(path) as store, StructureStore(stores / "s.h5") as other:
        assert store.attribute("digest_structures") == other.attribute("digest_structures")


def test_store_of_another_kind(stores):
    assert refused(stores / "f.h5", "structures") == "expected a structure store, received a feature store"
    with pytest.raises(StoreError, match="expected a feature store, received a structure store"):
        FeatureStore(stores / "s.h5")


def test_kind_is_recognised_whatever_the_version(stores, tmp_path):
    newer = stored.changed(stores / "s.h5", tmp_path / "s.h5", with_attribute("schema_version", 99))
    assert is_kind(newer, "structures")
    assert not is_kind(newer, "features")
    assert not is_kind(tmp_path / "none.h5", "structures")


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_of_a_schema_has_a_meaning(kind):
    schema = load(kind)
    assert schema["format"] == f"xanes-hpc/{kind}"
    assert schema["schema_version"] == CURRENT[kind]
    for entry in [*schema["attributes"].values(), *schema["datasets"].values(), *schema["groups"].values()]:
        assert entry["meaning"]
        assert entry["dtype"]


def test_every_kind_has_its_current_schema():
    there = {p.name for p in files("xanes_hpc_schema").iterdir() if p.name.endswith(".json")}
    assert {f"{kind}-{version}.json" for kind, version in CURRENT.items()} <= there
    assert set(CURRENT) == set(KINDS)


def datasets_of(path):
    """Return the names of all datasets of a file, and of the root's attributes."""
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
        return set(found), set(file.attrs)


@pytest.mark.parametrize(("name", "kind"), [("s.h5", "structures"), ("f.h5", "features")])
def test_every_dataset_of_a_store_is_in_its_schema(stores, name, kind):
    schema, (found, attributes) = load(kind), datasets_of(stores / name)
    unknown = [p for p in found if p not in schema["datasets"] and p.rpartition("/")[0] not in schema["groups"]]
    assert unknown == []
    assert set(required(kind)) <= found
    assert attributes <= set(schema["attributes"])


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A prediction store with all optional datasets. Read only."""
    folder = tmp_path_factory.mktemp("predictions")
    shutil.copytree(ARCHIVES / "model-1", folder / "model")
    options = PredictOptions(draws=2, keep_draws=True, force=True)
    with FeatureStore(ARCHIVES / "features-1.h5") as source:
        predict(Model.open(folder / "model"), source, folder / "p.h5", options)
    with PredictionStore(folder / "p.h5") as store:
        average(store, folder / "a.h5")
    return folder / "a.h5"


def test_a_prediction_store_has_exactly_the_entries_of_its_schema(predicted):
    schema, (found, attributes) = load("predictions"), datasets_of(predicted)
    assert found == set(schema["datasets"])
    assert attributes == set(schema["attributes"])


def test_a_prediction_store_may_lack_optional_datasets(predicted, tmp_path):
    optional = {name for name, entry in load("predictions")["datasets"].items() if entry.get("optional")}
    assert optional == {"reference", "draws", "sites/distrust", "sites/n_averaged"}
    assert load("predictions")["attributes"]["method"]["optional"]
    for name in optional:
        with PredictionStore(stored.changed(predicted, tmp_path / "p.h5", without(name))) as store:
            assert (store.distrust is None) == (name == "sites/distrust")
            assert (store.n_averaged is None) == (name == "sites/n_averaged")


@pytest.mark.parametrize("name", required("predictions"))
def test_prediction_store_without_a_dataset(predicted, tmp_path, name):
    path = stored.changed(predicted, tmp_path / "p.h5", without(name))
    assert refused(path) == f"prediction store lacks the dataset {name}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(24), "expected string, received float64"),
        (np.array([b"far"] * 23), "expected length 24 for n_sites, received 23"),
    ],
)
def test_distrust_is_one_string_per_site(predicted, tmp_path, data, message):
    path = stored.changed(predicted, tmp_path / "p.h5", stored.replaced("sites/distrust", data))
    assert refused(path) == f"sites/distrust: {message}"


def test_unknown_kind_and_version_are_refused():
    with pytest.raises(SchemaError, match="kind of store 'orbitals'; expected structures, features"):
        load("orbitals")
    with pytest.raises(SchemaError, match="structure store of schema 99; this program reads up to schema 1"):
        load("structures", 99)


def test_schema_error_is_a_value_error():
    assert issubclass(xanes_hpc_schema.SchemaError, ValueError)


@pytest.mark.parametrize("kind", ["structures", "features", "predictions", "targets"])
def test_the_readme_documents_every_entry_of_the_schema(kind):
    text = (ROOT / "hdf5_schema" / "README.md").read_text(encoding="utf-8")
    schema = load(kind)
    for name, entry in (schema["attributes"] | schema["datasets"]).items():
        assert any(f"| `{name}` |" in line and entry["meaning"] in line for line in text.splitlines()), name
