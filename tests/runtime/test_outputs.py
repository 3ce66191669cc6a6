"""Temporary files that killed runs leave beside an output."""

import os

import h5py

from xanes_hpc.runtime.new_file import new_file
from xanes_hpc.runtime.outputs import remove_stale
from xanes_hpc.stores.structure_writer import create_structures


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    names = (".a.h5.0123abcd.partial", ".b.h5.0123abcd.partial", ".a.h5.mine.partial", "a.h5.0123abcd.partial")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    live = tmp_path / ".a.h5.89abcdef.partial"
    os.symlink(names[0], tmp_path / ".a.h5.00000000.partial")
    with new_file(live) as file:
        file["x"] = 1
        remove_stale(tmp_path / "a.h5")
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], live.name, ".a.h5.00000000.partial"}
    with h5py.File(live) as file:
        assert file["x"][()] == 1


def test_the_next_run_removes_it(tmp_path):
    (tmp_path / ".a.h5.0123abcd.partial").write_bytes(b"x")
    with create_structures(tmp_path / "a.h5", False, []):
        assert not (tmp_path / ".a.h5.0123abcd.partial").exists()


def test_nothing_is_removed_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_hpc.runtime.outputs.hold", lambda descriptor: True)
    (tmp_path / ".a.h5.0123abcd.partial").write_bytes(b"x")
    remove_stale(tmp_path / "a.h5")
    assert (tmp_path / ".a.h5.0123abcd.partial").exists()
