"""Packed models that were damaged in transfer are refused, and the error names the member."""

import zipfile

import pytest
from support.zips import FILES, MODEL, WEIGHTS, members_of, refusal, with_manifest, write_zip

from xanes_hpc.errors import StoreError
from xanes_hpc.models.manifest import AGAIN
from xanes_hpc.models.pack import pack
from xanes_hpc.models.unpack import unpack


@pytest.fixture
def packed(tmp_path):
    """A packed model that tests may damage."""
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


def test_any_flipped_bit_is_found_or_harmless(tmp_path, packed):
    """Bits of times and the like do not matter: the unpacked files are the packed ones."""
    original = packed.read_bytes()
    names = [i for i, byte in enumerate(original) if original.startswith((b"PK\x01\x02", b"PK\x03\x04"), i) or not byte]
    directory = original.index(b"PK\x01\x02")
    found = 0
    for at in sorted({*range(0, len(original), 211), *names[::40], *range(directory, len(original), 5)}):
        damaged = bytearray(original)
        damaged[at] ^= 1 << at % 8
        packed.write_bytes(damaged)
        try:
            unpack(packed, tmp_path / "out.model", overwrite=True)
        except StoreError:
            found += 1
        else:
            assert all((tmp_path / "out.model" / name).read_bytes() == (MODEL / name).read_bytes() for name in FILES)
    assert found > 100


@pytest.mark.parametrize("left", [4, 29, 200, 0.3, 0.6, 0.9, -70, -22, -21, -1])
def test_a_truncated_file_is_refused(packed, left):
    data = packed.read_bytes()
    packed.write_bytes(data[: int(left * len(data)) if isinstance(left, float) else left])
    assert refusal(packed) == f"truncated or damaged; {AGAIN}"


def test_a_file_with_a_hole_is_refused(packed):
    data = packed.read_bytes()
    packed.write_bytes(data[:3000] + data[5000:])
    assert "truncated or damaged" in refusal(packed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a packed model (a ZIP file), received an empty file"),
        (b"PK\x03", "expected a packed model (a ZIP file), received another kind of file"),
        (b"\x89HDF\r\n\x1a\n", "expected a packed model (a ZIP file), received another kind of file"),
        (b"PK\x05\x06" + bytes(18), "expected a packed model (a ZIP file), received another kind of file"),
        (b"PK\x03\x04" + bytes(40), f"truncated or damaged; {AGAIN}"),
    ],
)
def test_other_kinds_of_files_are_refused(packed, data, message):
    packed.write_bytes(data)
    assert refusal(packed) == message


def test_another_zip_is_refused(packed):
    write_zip(packed, {"tm.model/model.json": b"{}"})
    assert refusal(packed) == "not a packed model: expected manifest.json first, received 'tm.model/model.json'"


def test_a_duplicate_member_is_refused(packed):
    members = members_of(packed)
    write_zip(packed, [*members.items(), ("run.toml", members["run.toml"])])
    assert refusal(packed) == f"run.toml: expected once, received twice; {AGAIN}"


def test_a_missing_member_is_named(packed):
    members = members_of(packed)
    del members[WEIGHTS]
    write_zip(packed, members)
    assert refusal(packed) == f"{WEIGHTS}: listed in the manifest but missing; {AGAIN}"


def test_a_member_that_the_manifest_does_not_list_is_named(packed):
    write_zip(packed, members_of(packed) | {"members/01/scalers.h5": b"x"})
    assert refusal(packed) == f"members/01/scalers.h5: not in the manifest; {AGAIN}"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(packed, method):
    write_zip(packed, members_of(packed), method=method)
    assert refusal(packed) == (
        f"manifest.json: expected stored or deflated data, received ZIP method {int(method)}; {AGAIN}"
    )


def test_a_zip_without_compression_is_accepted(tmp_path, packed):
    write_zip(packed, members_of(packed), method=zipfile.ZIP_STORED)
    unpack(packed, tmp_path / "out.model")


def test_an_encrypted_zip_is_refused(packed):
    data = packed.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    packed.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    assert refusal(packed) == "manifest.json: encrypted; ask for a model packed without a password"


KEYS = "files: expected path, size and sha256 of each"


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
        (change_value("files", ["model.json"]), f"damaged: {KEYS}, received 'model.json'"),
        (change_file("size", -1), "damaged: size: expected a number of bytes, received -1"),
        (change_file("size", 1.5), "damaged: size: expected a number of bytes, received 1.5"),
        (change_file("size", True), "damaged: size: expected a number of bytes, received True"),
        (change_file("size", 10**30), "damaged: size: expected a number of bytes, received 1000000000"),
        (change_file("size", 1 << 40), "history.csv: expected at most 33,554,432 bytes, received 1,099,511,627,776"),
        (change_file("sha256", "0" * 63), "damaged: sha256: expected 64 hexadecimal digits, received '000"),
        (change_file("sha256", "A" * 64), "damaged: sha256: expected 64 hexadecimal digits, received 'AAA"),
        (change_file("path", 7), "damaged: path: expected the path of a model's file, received 7"),
        (change_file("path", "sites.h5"), f"damaged: files: expected sorted paths without duplicates; {AGAIN}"),
        (change_file("more", 1), f"damaged: {KEYS}, received {{"),
    ],
)
def test_wrong_values_in_a_manifest_are_refused(packed, change, message):
    members = members_of(packed)
    write_zip(packed, members | {"manifest.json": with_manifest(members, change)["manifest.json"]})
    assert refusal(packed).startswith(f"manifest.json: {message}")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"7", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000])
def test_unreadable_manifests_are_refused(packed, text):
    write_zip(packed, members_of(packed) | {"manifest.json": text})
    assert refusal(packed) == f"manifest.json: damaged: not the manifest of a packed model; {AGAIN}"


def test_a_manifest_that_is_too_large_is_not_read(packed):
    write_zip(packed, members_of(packed) | {"manifest.json": bytes(2_000_000)})
    assert refusal(packed) == f"manifest.json: expected at most 1,048,576 bytes, received 2,000,000; {AGAIN}"


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
        ("sites.h5", None, "sites.h5: no such file: the model is incomplete; restore the file"),
    ],
)
def test_a_model_that_cannot_be_opened_is_not_kept(tmp_path, packed, name, data, message):
    """Its hashes are right, because whoever changes a file can also change its hash."""
    members = members_of(packed)
    members |= {name: data}
    write_zip(packed, with_manifest({n: d for n, d in members.items() if d is not None}))
    if message is None:
        unpack(packed, tmp_path / "out.model")
    else:
        assert refusal(packed).startswith(message)
