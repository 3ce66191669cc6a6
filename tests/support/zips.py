"""Read, write and damage the ZIP files of packed models, and check that they are refused."""

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
    """Return the bytes of every member of a ZIP file, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, members, attributes=None, method=zipfile.ZIP_DEFLATED):
    """Write a ZIP of members, given as a dictionary or as pairs, with external attributes for some of them."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # zipfile's, of duplicate names
        for name, data in members.items() if isinstance(members, dict) else members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = (attributes or {}).get(name, 0)
            archive.writestr(info, data)


def with_manifest(members, change=None):
    """Return the members with a manifest in front that describes them, after a change if one is given."""
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
    """Unpack a file that must be refused without leaving anything behind, and return the error message."""
    before = sorted(file.parent.iterdir())
    with pytest.raises(StoreError) as error:
        unpack(file, file.parent / "out.model")
    assert sorted(file.parent.iterdir()) == before
    text = str(error.value)
    assert text.startswith(f"{file}: ")
    assert ".partial" not in text
    assert text.isprintable()
    return text.removeprefix(f"{file}: ")
