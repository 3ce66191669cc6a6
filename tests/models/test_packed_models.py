"""Packing and unpacking restores the model, and only files of the model are packed."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from support.builders import contents, refused, run
from support.zips import ARCHIVES, FILES, MODEL, WEIGHTS, members_of, refusal

from xanes_hpc.analysis.inspect import inform
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models import manifest as packed_manifest
from xanes_hpc.models import pack as packing
from xanes_hpc.models import unpack as unpacking
from xanes_hpc.models.model import Model
from xanes_hpc.models.pack import pack
from xanes_hpc.models.unpack import unpack


@pytest.fixture
def folder(tmp_path):
    """A copy of a model that tests may damage."""
    return Path(shutil.copytree(MODEL, tmp_path / "tm.model"))


@pytest.fixture
def packed(tmp_path):
    """A packed model that tests may damage."""
    pack(MODEL, tmp_path / "tm.xanes-model")
    return tmp_path / "tm.xanes-model"


def test_unpacking_restores_the_model(tmp_path, packed):
    manifest = unpack(packed, tmp_path / "back.model")
    assert contents(tmp_path / "back.model").keys() == {str(tmp_path / "back.model" / name) for name in FILES}
    assert [f.path for f in manifest.files] == list(FILES)
    assert all((tmp_path / "back.model" / name).read_bytes() == (MODEL / name).read_bytes() for name in FILES)
    assert Model.open(tmp_path / "back.model").digest == Model.open(MODEL).digest


def test_a_newly_trained_model_is_packed_completely(tmp_path, model):
    assert pack(model, tmp_path / "t.xanes-model").left_out == []
    unpack(tmp_path / "t.xanes-model", tmp_path / "t.model")
    there, back = contents(model), contents(tmp_path / "t.model")
    assert {p.removeprefix(f"{tmp_path / 't.model'}"): data for p, data in back.items()} == {
        p.removeprefix(f"{model}"): data for p, data in there.items()
    }


def test_a_file_packed_by_the_first_version_is_read(tmp_path):
    unpack(ARCHIVES / "packed-1.xanes-model", tmp_path / "m.model")
    assert all((tmp_path / "m.model" / name).read_bytes() == (MODEL / name).read_bytes() for name in FILES)


def test_equal_models_give_equal_bytes(tmp_path, folder, packed):
    os.utime(folder / "model.json", (1e9, 1e9))
    (folder / "run.toml").chmod(0o600)
    (folder / "notes.txt").write_text("irrelevant")
    pack(folder, tmp_path / "again.xanes-model")
    assert (tmp_path / "again.xanes-model").read_bytes() == packed.read_bytes()


def test_the_manifest_comes_first_and_has_the_hash_of_every_file(packed):
    members = members_of(packed)
    assert list(members) == ["manifest.json", *FILES]
    values = json.loads(members["manifest.json"])
    assert values["format"] == "xanes-hpc/packed-model"
    for file in values["files"]:
        data = (MODEL / file["path"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    with zipfile.ZipFile(packed) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}


def test_only_files_of_the_model_are_packed(tmp_path, folder):
    others = (".env", "members/00/notes.h5.txt", "members/000/scalers.h5", "members/a.h5", "sub/model.json", "x.py")
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    (folder / "elsewhere").symlink_to("/etc/passwd")
    assert pack(folder, tmp_path / "m.xanes-model").left_out == sorted([*others, "elsewhere"])
    assert list(members_of(tmp_path / "m.xanes-model")) == ["manifest.json", *FILES]


@pytest.mark.parametrize("name", ["run.toml", "sites.h5", "members", "members/00", WEIGHTS])
def test_links_are_not_packed(tmp_path, folder, name):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=f"{folder / name}: expected a file or folder, received a symbolic link; put "):
        pack(folder, tmp_path / "m.xanes-model")
    assert not (tmp_path / "m.xanes-model").exists()


def test_a_link_to_a_model_is_followed(tmp_path, folder, packed):
    (tmp_path / "latest.model").symlink_to(folder)
    pack(tmp_path / "latest.model", tmp_path / "m.xanes-model")
    assert (tmp_path / "m.xanes-model").read_bytes() == packed.read_bytes()


@pytest.mark.parametrize("name", ["model.json", "sites.h5", WEIGHTS, "members/00/scalers.h5"])
@pytest.mark.parametrize("data", [None, b"", b"other data"])
def test_a_model_that_cannot_be_opened_is_not_packed(tmp_path, capsys, folder, name, data):
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
    line = refused(capsys, tmp_path, "model", "pack", folder)
    assert line.startswith(f"{folder}")
    assert name in line


@pytest.mark.parametrize("path", ["/home/me/tm.h5", "C:\\\\tm.h5", "\\\\\\\\host\\\\tm.h5"])
def test_absolute_paths_are_refused(tmp_path, capsys, folder, path):
    run_file = folder / "run.toml"
    run_file.write_text(f'spectra = ["../a.h5", "{path}"]\n' + run_file.read_text())
    line = refused(capsys, tmp_path, "model", "pack", folder)
    assert line.startswith(f"{run_file}: spectra: expected a relative path, received '")
    assert line.endswith(", which would disclose your folders; write only the file's name")


def test_relative_paths_are_shown_to_the_user(tmp_path, capsys, folder):
    (folder / "run.toml").write_text('features = ["../b.h5"]\n[transfer]\nmodel = "../a.model"\n')
    assert run("model", "pack", folder) == 0
    assert "../a.model, ../b.h5" in capsys.readouterr().out


def test_an_unreadable_configuration_is_refused(tmp_path, capsys, folder):
    (folder / "run.toml").write_text("= /home/me")
    assert refused(capsys, tmp_path, "model", "pack", folder).startswith(
        f"{folder / 'run.toml'}: damaged: not valid TOML"
    )


def test_a_model_that_changes_while_being_packed_is_refused(tmp_path, folder, monkeypatch):
    measured = packing._measured

    def measure_and_change(where, name):
        result = measured(where, name)
        if name == "history.csv":
            (where / name).write_text("another epoch")
        return result

    monkeypatch.setattr(packing, "_measured", measure_and_change)
    with pytest.raises(StoreError, match=r"history\.csv: changed while being packed; pack the model again"):
        pack(folder, tmp_path / "m.xanes-model")
    assert [p.name for p in tmp_path.iterdir()] == ["tm.model"]


@pytest.mark.parametrize(("limit", "name"), [("MOST_BYTES", "all files"), ("MOST_TEXT_BYTES", "model.json")])
def test_models_that_are_too_large_are_neither_packed_nor_unpacked(tmp_path, packed, monkeypatch, limit, name):
    monkeypatch.setattr(packed_manifest, limit, 5000)
    with pytest.raises(StoreError, match=f"{name}.* received"):
        pack(MODEL, tmp_path / "m.xanes-model")
    assert "expected at most 5,000 bytes" in refusal(packed)
    assert not (tmp_path / "m.xanes-model").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("place", ["_extract", "_check_model"])
def test_an_interrupted_unpacking_leaves_nothing(tmp_path, packed, monkeypatch, error, place):
    old = Path(shutil.copytree(MODEL, tmp_path / "tm.model"))
    (old / "run.toml").unlink()
    done, before = getattr(unpacking, place), contents(tmp_path)
    calls = []

    def interrupted(*arguments):
        done(*arguments)
        calls.append(arguments)
        if len(calls) == 3 or place == "_check_model":
            raise error

    monkeypatch.setattr(unpacking, place, interrupted)
    for output, overwrite in ((old, True), (tmp_path / "new.model", False)):
        with pytest.raises(error):
            unpack(packed, output, overwrite)
        assert contents(tmp_path) == before
        assert sorted(p.name for p in tmp_path.iterdir()) == ["tm.model", "tm.xanes-model"]
        calls.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ModelError])
def test_an_interrupted_packing_leaves_nothing(tmp_path, folder, monkeypatch, error):
    def interrupted(*arguments):
        raise error("interrupted")

    monkeypatch.setattr(packing, "_add", interrupted)
    with pytest.raises(error):
        pack(folder, tmp_path / "m.xanes-model")
    assert [p.name for p in tmp_path.iterdir()] == ["tm.model"]


def test_commands_write_beside_their_input_by_default(tmp_path, capsys, folder):
    assert run("model", "pack", folder) == 0
    printed, file = capsys.readouterr(), tmp_path / "tm.xanes-model"
    assert printed.out.startswith(f"{file}")
    assert "24, with names and formulas" in printed.out
    assert printed.err == f"Next: xanes-hpc model unpack {file}\n"
    (tmp_path / "there").mkdir()
    file = file.rename(tmp_path / "there" / "tm.xanes-model")
    assert run("model", "unpack", file) == 0
    printed, back = capsys.readouterr(), tmp_path / "there" / "tm.model"
    assert printed.out.startswith(f"{back}")
    assert "Cr K, Mn K, Co K, Ni K, Cu K" in printed.out
    assert printed.err == f"Next: xanes-hpc predict STRUCTURES --model {back}\n"
    assert sorted(contents(back).values()) == sorted(contents(folder).values())


def test_a_model_can_be_packed_from_within_its_folder(tmp_path, capsys, folder, monkeypatch):
    monkeypatch.chdir(folder / "members")
    assert run("model", "pack", "..") == 0
    assert (tmp_path / "tm.xanes-model").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pack", "none.model"], "none.model: no such model folder"),
        (
            ["pack", "tm.xanes-model"],
            "tm.xanes-model: expected a model folder, received a file; unpack a packed model with xanes-hpc model",
        ),
        (["pack", "empty"], "empty: not a model folder (it has no model.json)"),
        (["pack", "tm.model"], "tm.xanes-model: already exists; name another output, or replace it with --overwrite"),
        (["pack", "tm.model", "-o", "no/m.xanes-model"], "no: no such folder for the output m.xanes-model"),
        (["pack", "tm.model", "-o", "empty", "--overwrite"], "empty: is a folder and will not be replaced"),
        (
            ["pack", "tm.model", "-o", "tm.model/model.json", "--overwrite"],
            "tm.model/model.json: is part of the model ",
        ),
        (["unpack", "none.xanes-model"], "none.xanes-model: no such file"),
        (["unpack", "empty"], "empty: expected a packed model, received a folder"),
        (["unpack", "tm.xanes-model"], "tm.model: already exists; name another output, or replace it with --overwrite"),
        (
            ["unpack", "tm.xanes-model", "-o", "tm.xanes-model", "--overwrite"],
            "tm.xanes-model: is one of the inputs; name another output",
        ),
        (
            ["unpack", "tm.xanes-model", "-o", "thesis", "--overwrite"],
            "thesis: is a folder with other files and will not be replaced; name another output",
        ),
        (["unpak", "tm.xanes-model"], "no command 'unpak'; did you mean 'unpack'? (see xanes-hpc model --help)"),
        (["pack"], "Missing argument 'MODEL' (see xanes-hpc model pack --help)"),
        (["unpack"], "Missing argument 'FILE.xanes-model' (see xanes-hpc model unpack --help)"),
    ],
)
def test_refusals_of_the_commands(tmp_path, capsys, monkeypatch, folder, packed, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    assert refused(capsys, tmp_path, "model", *words).startswith(message)


def test_overwrite_replaces_outputs(tmp_path, folder, packed):
    (folder / "history.csv").unlink()
    packed.write_bytes(b"old")
    assert run("model", "pack", MODEL, "-o", packed, "--overwrite") == 0
    assert run("model", "unpack", packed, "--overwrite") == 0
    assert (folder / "history.csv").is_file()


def test_info_describes_a_packed_model(packed):
    found = inform(packed)
    assert found["kind"] == "packed"
    assert found["files"] == list(FILES)
    assert found["bytes_unpacked"] == sum((MODEL / name).stat().st_size for name in FILES)
    packed.rename(packed.with_suffix(".zip"))
    assert inform(packed.with_suffix(".zip")) == found
    packed.write_bytes(b"")
    with pytest.raises(StoreError, match="expected a packed model"):
        inform(packed)
