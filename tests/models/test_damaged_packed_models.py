"""Packed models that were damaged on the way are refused, and the refusal names the member."""

import zipfile

import pytest
from support.zips import FILES, MODEL, WEIGHTS, members_of, refusal, with_manifest, write_zip

from xanes_hpc.errors import StoreError
from xanes_hpc.models.pack import pack
from xanes_hpc.models.unpack import unpack


@pytest.fixture
def packed(tmp_path):
    """A packed model, to be spoilt."""
    pack(MODEL, tmp_path / "tm.xanes-model")
    return tmp_path / "tm.xanes-model"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_a_flipped_bit_in_a_file_is_found_and_named(packed, name, where):
    with zipfile.ZipFile(packed) as archive:
        info = archive.getinfo(name)
    data = bytearray(packed.read_bytes())
    begin = info.header_offset + 30 + len(name)
    data[begin + int(where * info.compress_size)] ^= 0x10
    packed.write_bytes(data)
    assert refusal(packed).startswith(f"{name}: ")


def test_any_flipped_bit_is_found_or_does_no_harm(tmp_path, packed):
    """Times and the like may flip; what is unpacked is what was packed."""
    original = packed.read_bytes()
    names = [i for i, byte in enumerate(original) if original.startswith((b"PK\x01\x02", b"PK\x03\x04"), i) or not byte]
    directory = original.index(b"PK\x01\x02")
    found = 0
    for at in sorted({*range(0, len(original), 211), *names[::40], *range(directory, len(original), 5)}):
        spoilt = bytearray(original)
        spoilt[at] ^= 1 << at % 8
        packed.write_bytes(spoilt)
        try:
            unpack(packed, tmp_path / "out.model", overwrite=True)
        except StoreError:
            found += 1
        else:
            assert all((tmp_path / "out.model" / name).read_bytes() == (MODEL / name).read_bytes() for name in FILES)
    assert found > 100


@pytest.mark.parametrize("left", [4, 29, 200, 0.3, 0.6, 0.9, -70, -22, -21, -1])
def test_a_file_cut_short_is_refused(packed, left):
    data = packed.read_bytes()
    packed.write_bytes(data[: int(left * len(data)) if isinstance(left, float) else left])
    assert refusal(packed) == "cut short or damaged; fetch the file again or have it packed anew"


def test_a_file_with_a_hole_is_refused(packed):
    data = packed.read_bytes()
    packed.write_bytes(data[:3000] + data[5000:])
    assert "cut short or damaged" in refusal(packed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a packed model (a ZIP file), received an empty one"),
        (b"PK\x03", "expected a packed model (a ZIP file), received another file"),
        (b"\x89HDF\r\n\x1a\n", "expected a packed model (a ZIP file), received another file"),
        (b"PK\x05\x06" + bytes(18), "expected a packed model (a ZIP file), received another file"),
        (b"PK\x03\x04" + bytes(40), "cut short or damaged; fetch the file again or have it packed anew"),
    ],
)
def test_what_is_no_zip_is_refused(packed, data, message):
    packed.write_bytes(data)
    assert refusal(packed) == message


def test_another_zip_is_refused(packed):
    write_zip(packed, {"tm.model/model.json": b"{}"})
    assert refusal(packed) == "not a packed model: expected manifest.json first, received 'tm.model/model.json'"


def test_a_member_that_stands_twice_is_refused(packed):
    members = members_of(packed)
    write_zip(packed, [*members.items(), ("run.toml", members["run.toml"])])
    assert refusal(packed).startswith("run.toml: expected once, received twice; fetch")


def test_a_missing_member_is_named(packed):
    members = members_of(packed)
    del members[WEIGHTS]
    write_zip(packed, members)
    assert refusal(packed).startswith(f"{WEIGHTS}: in the manifest but missing; fetch")


def test_a_member_that_the_manifest_does_not_list_is_named(packed):
    write_zip(packed, members_of(packed) | {"members/01/scalers.h5": b"x"})
    assert refusal(packed).startswith("members/01/scalers.h5: not in the manifest; fetch")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(packed, method):
    write_zip(packed, members_of(packed), method=method)
    assert refusal(packed).startswith(f"manifest.json: expected to be deflated, received ZIP method {method}; fetch")


def test_a_zip_that_is_not_compressed_will_do(tmp_path, packed):
    write_zip(packed, members_of(packed), method=zipfile.ZIP_STORED)
    unpack(packed, tmp_path / "out.model")


def test_an_encrypted_zip_is_refused(packed):
    data = packed.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    packed.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    assert refusal(packed) == "manifest.json: is encrypted; have the model packed without a password"


def change_file(key, value):
    def change(values):
        values["files"][0] = values["files"][0] | {key: value}

    return change


def change_value(key, value):
    def change(values):
        values[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_value("format", "xanes-hpc/model"), "expected xanes-hpc/packed-model, received 'xanes-hpc/model'"),
        (change_value("schema_version", 2), "packed model of schema 2; this program reads up to schema 1: upgrade it"),
        (change_value("schema_version", "1"), "damaged: schema_version: expected a positive integer, received '1'"),
        (change_value("schema_version", True), "damaged: schema_version: expected a positive integer, received True"),
        (change_value("creator", "a\x1b[2J"), r"damaged: creator: expected a line of text, received 'a\x1b[2J'"),
        (change_value("files", {}), "damaged: files: expected a list, received {}"),
        (change_value("files", ["model.json"]), "damaged: expected path, size and sha256 of a file, received 'model.j"),
        (change_file("size", -1), "size: expected that of a file of a model, received -1"),
        (change_file("size", 1.5), "size: expected that of a file of a model, received 1.5"),
        (change_file("size", True), "size: expected that of a file of a model, received True"),
        (change_file("size", 10**30), "size: expected that of a file of a model, received 1000000000"),
        (change_file("size", 1 << 40), "history.csv: expected at most 33,554,432 bytes, received 1,099,511,627,776"),
        (change_file("sha256", "0" * 63), "sha256: expected that of a file of a model, received '000"),
        (change_file("sha256", "A" * 64), "sha256: expected that of a file of a model, received 'AAA"),
        (change_file("path", 7), "path: expected that of a file of a model, received 7"),
        (change_file("path", "sites.h5"), "damaged: files: expected every path once and in order; fetch"),
        (change_file("more", 1), "damaged: expected path, size and sha256 of a file, received {"),
    ],
)
def test_manifests_that_are_wrong_are_refused(packed, change, message):
    members = members_of(packed)
    write_zip(packed, members | {"manifest.json": with_manifest(members, change)["manifest.json"]})
    assert refusal(packed).startswith(f"manifest.json: {message}")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"7", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000])
def test_manifests_that_are_none_are_refused(packed, text):
    write_zip(packed, members_of(packed) | {"manifest.json": text})
    assert refusal(packed).startswith("manifest.json: damaged: not the manifest of a packed model; fetch")


def test_a_manifest_that_is_too_large_is_not_read(packed):
    write_zip(packed, members_of(packed) | {"manifest.json": bytes(2_000_000)})
    assert refusal(packed).startswith("manifest.json: expected at most 1,048,576 bytes, received 2,000,000; fetch")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("history.csv", b"nothing that is read", None),
        ("model.json", b"{}", "model.json: damaged: not a model's description"),
        ("model.json", b"[" * 100_000, "model.json: damaged: not a model's description"),
        (WEIGHTS, b"no HDF5", "damaged: "),
        (WEIGHTS, (MODEL / "sites.h5").read_bytes(), f"{WEIGHTS}: damaged: "),
        ("sites.h5", (MODEL / WEIGHTS).read_bytes(), "sites.h5: damaged: "),
        ("members/01/scalers.h5", (MODEL / "members/00/scalers.h5").read_bytes(), "expected 1 members, found 2"),
        ("model.json", None, "not a model folder (it has no model.json)"),
        ("sites.h5", None, "sites.h5: no such file: the model is not whole"),
    ],
)
def test_a_model_that_does_not_open_is_not_left(tmp_path, packed, name, data, message):
    """The hashes fit, since whoever made the file made them."""
    members = members_of(packed)
    members |= {name: data}
    write_zip(packed, with_manifest({n: d for n, d in members.items() if d is not None}))
    if message is None:
        unpack(packed, tmp_path / "out.model")
    else:
        assert refusal(packed).startswith(message)
