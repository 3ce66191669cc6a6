"""``info --verify`` reports every flipped bit in the data of a store; undamaged stores pass."""

import json
import random

import h5py
import pytest
from support import stored
from support.builders import ERROR, run

from xanes_hpc.analysis.verify import verify
from xanes_hpc.stores.hdf5 import open_store


@pytest.fixture
def stores(tmp_path):
    """A folder with a structure store ``s.h5`` with spectra, and its feature store ``f.h5``."""
    stored.write_features(
        tmp_path, entries=[(stored.structure(f"s{i}", 5, i), [0], "K", [[stored.spectrum()]]) for i in range(40)]
    )
    return tmp_path


def chunked(path):
    with h5py.File(path) as file:
        names = []
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) and node.size else None)
        return [name for name in names if file[name].chunks]


@pytest.mark.parametrize("name", ["s.h5", "f.h5"])
def test_undamaged_store_passes(stores, name, capsys):
    assert run("info", "--verify", stores / name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["damage"] == []
    assert found["chunks"] >= len(chunked(stores / name)) > 5
    assert found["bytes"] > 1000
    assert set(found["without_checksum"]) <= {"descriptor"}


@pytest.mark.parametrize("n_structures", [0, 3])
def test_undamaged_store_without_spectra_passes(tmp_path, n_structures):
    entries = [(stored.structure(f"s{i}", 5, i), [0], "K", [[]]) for i in range(n_structures)]
    stored.write_structures(tmp_path / "s.h5", entries)
    assert verify(tmp_path / "s.h5").damage == []


@pytest.mark.parametrize("name", ["s.h5", "f.h5"])
def test_flipped_byte_in_any_dataset_is_found(stores, name, capsys):
    whole = (stores / name).read_bytes()
    for dataset in chunked(stores / name):
        stored.flip_a_byte(stores / name, dataset)
        findings = verify(stores / name)
        assert [d for d in findings.damage if d.startswith(f"{dataset}, rows 0 to ")], dataset
        (stores / name).write_bytes(whole)
    assert verify(stores / name).damage == []


def test_damage_prints_one_line_and_exits_with_2(stores, capsys):
    stored.flip_a_byte(stores / "f.h5", "features")
    capsys.readouterr()
    assert run("info", "--verify", stores / "f.h5") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"{ERROR}{stores / 'f.h5'}: damaged: features, rows 0 to ")
    assert printed.err.count("\n") == 1


def test_chunks_after_a_damaged_one_are_still_read(stores):
    n_chunks = verify(stores / "s.h5").chunks
    stored.flip_a_byte(stores / "s.h5", "atoms/positions")
    stored.flip_a_byte(stores / "s.h5", "sites/weight")
    findings = verify(stores / "s.h5")
    assert findings.chunks == n_chunks
    assert len(findings.damage) == 2


def test_the_digest_finds_changes_with_valid_checksums(stores):
    with h5py.File(stores / "s.h5", "r+") as file:
        file["atoms/positions"][0, 0] += 1e-9
    assert verify(stores / "s.h5").damage == ["attribute digest_structures: does not match the data"]


@pytest.mark.parametrize("change", ["description", "hash", "labels"])
def test_descriptor_that_does_not_match_its_hash_is_found(stores, change):
    with h5py.File(stores / "f.h5", "r+") as file:
        if change == "description":
            text = file["descriptor"][()].decode()
            del file["descriptor"]
            file["descriptor"] = text.replace('"cutoff": 6.0', '"cutoff": 5.0')
        elif change == "hash":
            file.attrs["descriptor_hash"] = "0" * 64
        else:
            file["labels"][0] = b"G7"
    assert len(verify(stores / "f.h5").damage) == 1


@pytest.mark.parametrize("seed", range(40))
def test_any_flipped_bit_is_found_or_harmless(stores, seed, tmp_path):
    """A flip in data, metadata or unused space is reported, makes the file unreadable, or changes no value."""
    path = stores / "f.h5"
    before = everything(path)
    data = bytearray(path.read_bytes())
    place = random.Random(seed)
    data[place.randrange(len(data))] ^= 1 << place.randrange(8)
    path.write_bytes(data)
    if run("info", "--verify", path) == 0:
        assert everything(path) == before


def everything(path):
    found = {}
    with open_store(path) as file:
        found["@"] = {name: value for name, value in file.attrs.items() if name != "creator"}

        def take(name, node):
            if isinstance(node, h5py.Dataset):
                found[name] = node[()].tobytes() if node.shape else node[()]

        file.visititems(take)
    return found
