"""Packed models to be spoilt: reading and writing their ZIP files, and what is said against them."""

import hashlib
import json
import warnings
import zipfile

import pytest

from support.places import ARCHIVES
from xanes_hpc.errors import StoreError
from xanes_hpc.models.manifest import FORMAT
from xanes_hpc.models.unpack import unpack

MODEL = ARCHIVES / "model-1"
WEIGHTS = "members/00/network.weights.h5"
SCALERS = "members/00/scalers.h5"
FILES = ("history.csv", WEIGHTS, SCALERS, "model.json", "run.toml", "sites.h5")


def members_of(path):
    """Every member's name and bytes."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, members, attributes=None, method=zipfile.ZIP_DEFLATED):
    """A ZIP of members, given as a dictionary or as pairs; one of them with attributes of its own."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # zipfile's, of duplicate names
        for name, data in members.items() if isinstance(members, dict) else members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = (attributes or {}).get(name, 0)
            archive.writestr(info, data)


def with_manifest(members, change=None):
    """The members after a manifest that fits them, or a changed one."""
    files = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(members.items())
        if name != "manifest.json"
    ]
    values = {"format": FORMAT, "schema_version": 1, "creator": "a test", "files": files}
    if change is not None:
        change(values)
    others = {name: data for name, data in members.items() if name != "manifest.json"}
    return {"manifest.json": json.dumps(values).encode()} | others


def refusal(file):
    """What unpacking says against a file, of which nothing may be left."""
    before = sorted(file.parent.iterdir())
    with pytest.raises(StoreError) as error:
        unpack(file, file.parent / "out.model")
    assert sorted(file.parent.iterdir()) == before
    text = str(error.value)
    assert text.startswith(f"{file}: ")
    assert ".partial" not in text
    assert text.isprintable()
    return text.removeprefix(f"{file}: ")
