"""Malicious packed models: nothing is written outside the folder, and no more data than the manifest announces."""

import shutil
import stat

import h5py
import pytest
from support.builders import contents
from support.zips import MODEL, SCALERS, WEIGHTS, members_of, refusal, with_manifest, write_zip

from xanes_hpc.models import manifest, unpack
from xanes_hpc.models.pack import pack

LINK, FOLDER, FIFO = (kind << 16 for kind in (stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO | 0o644))


@pytest.fixture
def packed(tmp_path):
    """A packed model that tests may damage."""
    pack(MODEL, tmp_path / "tm.xanes-model")
    return tmp_path / "tm.xanes-model"


HOSTILE = (
    "../evil.h5", "members/00/../../../evil.h5", "/etc/passwd", "C:\\evil.h5", "members\\00\\scalers.h5", "..",
    "members", "members/", "members/00/", "members//00/scalers.h5", "members/00/.h5", "members/00/sub/a.h5",
    "members/00/evil.py", "members/٠٠/scalers.h5", "members/00/scalers.h5\n", "MODEL.JSON", "./model.json",
    "manifest.json", "__init__.py", "\x1b[2Jx", "x" * 300, "members/00/" + "a" * 300 + ".h5",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("listed", [True, False])
def test_names_of_other_files_are_refused(packed, name, listed):
    members = members_of(packed)
    plain = with_manifest(members)

    def add(values):
        values["files"] = sorted([*values["files"], values["files"][0] | {"path": name}], key=lambda f: f["path"])

    first = with_manifest(members, add)["manifest.json"] if listed else plain["manifest.json"]
    write_zip(packed, [("manifest.json", first), *list(plain.items())[1:], (name, b"evil")])
    before = contents(packed.parent.parent)
    line = refusal(packed)
    assert manifest.shown(name) in line
    assert contents(packed.parent.parent) == before


def test_a_name_with_a_nul_byte_is_refused(packed):
    write_zip(packed, members_of(packed))
    packed.write_bytes(packed.read_bytes().replace(b"sites.h5", b"sites.h\0"))
    assert refusal(packed).startswith(r"'sites.h\x00': not a file that a model can have")


@pytest.mark.parametrize("name", ["manifest.json", "model.json", WEIGHTS])
@pytest.mark.parametrize("attributes", [LINK, FOLDER, FIFO])
def test_members_that_are_not_plain_files_are_refused(packed, name, attributes):
    write_zip(packed, members_of(packed), {name: attributes})
    assert refusal(packed) == f"{name}: expected a plain file, received a link, folder or device; nothing was unpacked"


def forge_size(path, name, size):
    """Set the size in both headers of a member, whatever its data inflate to."""
    data = bytearray(path.read_bytes())
    header, entry = data.index(name.encode()) - 30, data.rindex(name.encode()) - 46
    for at in (header + 22, entry + 24):
        data[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("claimed", [0, 10, 9_999_999, 10_000_001, 4_000_000_000])
def test_no_more_data_are_inflated_than_announced(packed, monkeypatch, claimed):
    """Ten million zeros, announced as fewer or more."""
    bomb = with_manifest(members_of(packed) | {"history.csv": bytes(10_000_000)})
    monkeypatch.setattr(manifest, "MOST_TEXT_BYTES", 1 << 33)
    bomb["manifest.json"] = bomb["manifest.json"].replace(b'"size": 10000000', b'"size": %d' % claimed)
    write_zip(packed, bomb)
    assert refusal(packed).startswith(
        f"history.csv: expected {claimed:,} bytes as in the manifest, received 10,000,000"
    )
    forge_size(packed, "history.csv", claimed)
    written = []
    monkeypatch.setattr(unpack, "_blocks", watched(unpack._blocks, written))
    assert refusal(packed).startswith("history.csv: ")
    assert sum(written) <= claimed + 10_000


def watched(blocks, written):
    def watch(*arguments):
        for block in blocks(*arguments):
            written.append(len(block))
            yield block

    return watch


def test_data_beyond_the_manifest_are_not_written(packed, monkeypatch):
    """Even if zipfile returned more data than the ZIP's directory announces."""
    blocks = unpack._blocks

    def endless(archive, info, where):
        return blocks(archive, info, where) if info.filename == "manifest.json" else more()

    monkeypatch.setattr(unpack, "_blocks", endless)
    assert refusal(packed).startswith("history.csv: damaged: its size or SHA-256 differs from the manifest")


def more():
    yield bytes(1000)
    raise AssertionError("asked for more")


def external_link(file):
    del file["feature_mean"]
    file["feature_mean"] = h5py.ExternalLink("/tmp/other.h5", "data")


def soft_link(file):
    del file["feature_mean"]
    file["feature_mean"] = h5py.SoftLink("/feature_scale")


def external_data(file):
    del file["feature_mean"]
    file.create_dataset("feature_mean", (49,), "f4", external=[("/etc/passwd", 0, 196)])


def virtual_data(file):
    del file["feature_mean"]
    layout = h5py.VirtualLayout((49,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "data", (49,))
    file.create_virtual_dataset("feature_mean", layout)


def huge_data(file):
    del file["feature_mean"]
    file.create_dataset("feature_mean", (1 << 40,), "f4", chunks=(1 << 20,))


@pytest.mark.parametrize("change", [external_link, soft_link, external_data, virtual_data, huge_data])
def test_numbers_in_other_files_and_huge_datasets_are_refused(tmp_path, packed, change):
    shutil.copy(MODEL / SCALERS, tmp_path / "scalers.h5")
    with h5py.File(tmp_path / "scalers.h5", "r+") as file:
        change(file)
    write_zip(packed, with_manifest(members_of(packed) | {SCALERS: (tmp_path / "scalers.h5").read_bytes()}))
    expected = "bytes of numbers in a file of" if change is huge_data else "feature_mean: expected data in this file"
    line = refusal(packed)
    assert line.startswith(f"{SCALERS}: ")
    assert expected in line
