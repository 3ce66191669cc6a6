"""Groups of Athena projects: every one under a name of its own."""

import gzip
import json

import numpy as np
import pytest
from support.builders import refused, run, write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore

ENERGIES = np.arange(8930.0, 9080.0, 0.5)
GROUP = """$old_group = 'g{number}';
@args = ('datatype','xmu','is_xmu','1','label','{label}','bkg_e0','8979');
@x = ({x});
@y = ({y});
[record] #

"""
LARCH = "Larch is not installed"


def project(path, *labels):
    """A project with a group for each label; that of number n has an edge step of n."""
    text = "# Athena project file -- Demeter version 0.9.21\n\n"
    for number, label in enumerate(labels, 1):
        mu = number * (0.5 + np.arctan(ENERGIES - 8979.0) / np.pi)
        x, y = (",".join(f"'{value}'" for value in values.tolist()) for values in (ENERGIES, mu))
        text += GROUP.format(number=number, label=label, x=x, y=y)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(f"{text}@journal = ();\n\n1;\n".encode()))
    return path


def step(spectrum):
    return round(float(spectrum.intensities[-1]))


def test_groups_with_equal_labels_are_numbered(tmp_path):
    pytest.importorskip("larch.io", reason=LARCH)
    path = project(tmp_path / "q.prj", "dup", "dup", "a b", "a_b", "3")
    names = ("1", "2", "dup (1)", "dup (2)", "a b", "a_b", "3", "4")
    assert [step(read_spectrum(tmp_path / f"q.prj:{name}")) for name in names] == [1, 2, 1, 2, 3, 4, 5, 4]
    with pytest.raises(FormatError, match=r"received 5 spectra: dup \(1\), dup \(2\), a b, a_b, 3"):
        read_spectrum(path)
    with pytest.raises(FormatError, match="expected spectrum 'dup', received 5 spectra"):
        read_spectrum(tmp_path / "q.prj:dup")


def test_damaged_projects_are_refused(tmp_path):
    pytest.importorskip("larch.io", reason=LARCH)
    whole = project(tmp_path / "a.prj", "foil").read_bytes()
    longer = gzip.decompress(whole).replace(b"@y = (", b"@y = ('0.1',")
    (tmp_path / "b.prj").write_bytes(gzip.compress(longer))
    with pytest.raises(FormatError, match=r"foil: expected as many energies as intensities, received 300 and 301"):
        read_spectrum(tmp_path / "b.prj")
    for at in range(20, len(whole), 400):
        damaged = bytearray(whole)
        damaged[at] ^= 255
        (tmp_path / "c.prj").write_bytes(damaged)
        with pytest.raises(FormatError, match=r"c\.prj: "):
            read_spectrum(tmp_path / "c.prj")


COPPER = "2\n\nCu 0 0 0\nO 0 0 1.9\n"


def test_import_takes_the_groups_of_a_project_by_their_labels(tmp_path, capsys):
    pytest.importorskip("larch.io", reason=LARCH)
    for name in ("one", "two", "three"):
        write(tmp_path / "xyz" / f"{name}.xyz", COPPER)
    project(tmp_path / "mu" / "three.prj", "two", "one", "other", "one")
    words = ["import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5", "--json"]
    assert run(*words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [item["count"] for what, item in summary["choices"].items() if "label" in what] == [2]
    assert [item["first"] for what, item in summary["choices"].items() if "first was taken" in what] == [
        f"{tmp_path}/mu/three.prj:one (1), not {tmp_path}/mu/three.prj:one (2)"
    ]
    assert (summary["spectra"], summary["skipped_count"]) == (2, 1)
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.sites.name == ["one", "two"]
        assert [step(placed.spectrum) for placed in read_spectra(store.file, [0, 1])] == [2, 1]


def test_labels_that_are_no_sites_are_shown(tmp_path, capsys):
    pytest.importorskip("larch.io", reason=LARCH)
    write(tmp_path / "xyz" / "A.xyz", COPPER)
    project(tmp_path / "mu" / "A.prj", "foil", "oxide")
    message = refused(
        capsys, tmp_path, "import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5"
    )
    assert "the groups of A.prj foil, oxide" in message
