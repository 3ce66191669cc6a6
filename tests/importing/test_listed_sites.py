"""``xanes-hpc import --sites``."""

import json

import pytest
from support.builders import TWO_IRONS, refused, run, write, write_spectrum, write_xyz

from xanes_hpc.stores.structures import StructureStore


@pytest.fixture
def import_(tmp_path, capsys):
    """Return a function that imports xyz/ with a list; it returns the summary, and the sites with their atoms."""
    for name in ("A", "B", "C"):
        write_xyz(tmp_path / "xyz" / f"{name}.xyz", TWO_IRONS)
    write_xyz(tmp_path / "xyz" / "code_Fe.xyz")

    def imported(table, *options):
        write(tmp_path / "s.csv", table)
        capsys.readouterr()
        words = ["import", tmp_path / "xyz", "--sites", tmp_path / "s.csv", "-o", tmp_path / "out.h5", "--json"]
        assert run(*words, *options, "--overwrite") == 0
        with StructureStore(tmp_path / "out.h5") as store:
            sites = list(zip(store.sites.name, store.sites.atom.tolist(), strict=True))
        return json.loads(capsys.readouterr().out), sites

    return imported


@pytest.mark.parametrize(
    ("table", "sites"),
    [
        ("structure,atom\nB,2\nA,0\nA,2\n", [("A#0", 0), ("A#2", 2), ("B", 2)]),
        ("site\nB#2\nA#0\nA#2\n", [("A#0", 0), ("A#2", 2), ("B", 2)]),
        ("site\ncode\n", [("code_Fe", 0)]),
        ("site\ncode_Fe\nC#1\n", [("C", 1), ("code_Fe", 0)]),
    ],
)
def test_the_listed_atoms_are_the_sites(import_, table, sites):
    summary, found = import_(table)
    assert found == sites
    assert summary["skipped_count"] == 0
    assert summary["not_selected"] == {"the list of sites": 4 - summary["structures"]}


def test_the_rule_is_for_names_without_an_atom(import_):
    assert import_("site\nA\nB#0\n", "--absorber", "Fe")[1] == [("A#0", 0), ("A#2", 2), ("B", 0)]


def test_rows_that_no_structure_has_are_told(import_, tmp_path):
    summary, sites = import_("structure,atom\nA,0\nA,9\nB,3\ncode_fe,0\n")
    assert sites == [("A", 0)]
    table = tmp_path / "s.csv"
    assert [item["reason"] for item in summary["skipped"]] == [
        f"{table}: line 3: A has no atom 9; expected 0 to 2",
        f"{table}: line 4: B has no atom 3; expected 0 to 2",
        f"{table}: line 5: no structure code_fe; near: code_Fe",
    ]


def test_a_structure_whose_absorber_is_not_told(import_, tmp_path):
    summary, sites = import_("site\nA\nB#0\n")
    assert sites == [("B", 0)]
    (item,) = summary["skipped"]
    assert item["reason"].startswith(f"{tmp_path}/xyz/A.xyz: expected exactly one transition metal")


def test_spectra_of_listed_sites(import_, tmp_path):
    for name in ("A#0", "A#2", "B#2"):
        write_spectrum(tmp_path / "mu" / f"{name}.txt")
    options = ["--spectra", tmp_path / "mu", "--only-paired"]
    summary, sites = import_("structure,atom\nA,0\nB,0\nB,2\n", *options)
    assert sites == [("A", 0), ("B", 2)]
    assert (summary["spectra"], summary["unused_spectra"]) == (2, 1)


def test_a_sample_of_listed_sites(import_):
    summary, sites = import_("site\nA#0\nB#0\n", "--sample", "1")
    assert len(sites) == summary["structures"] == 1
    assert summary["not_selected"] == {"the list of sites": 2, "sample": 1}


def test_a_structure_with_a_number_sign_in_its_name(tmp_path):
    write_xyz(tmp_path / "xyz" / "A#1.xyz")
    write(tmp_path / "s.csv", "site\nA#1\n")
    assert run("import", tmp_path / "xyz", "--sites", tmp_path / "s.csv", "-o", tmp_path / "out.h5") == 0


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("structure,atom\nA,0\nA,0\n", [], "s.csv: line 3: second row of site A#0"),
        ("site\nA#0\nB\nA#0\n", [], "s.csv: line 4: second row of site A#0"),
        ("site\nX\n", [], "s.csv: line 2: no structure X"),
        ("structure,atom\nA,7\n", ["--strict"], "s.csv: line 2: A has no atom 7"),
        ("structure,atom\nA,0\n", ["--absorber", "Fe"], "--absorber: chooses atoms where --sites names none"),
        ("site\n", [], "s.csv: lists no sites"),
    ],
)
def test_lists_that_are_refused(tmp_path, capsys, table, options, message):
    write_xyz(tmp_path / "xyz" / "A.xyz", TWO_IRONS)
    write(tmp_path / "s.csv", table)
    words = ["import", tmp_path / "xyz", "--sites", tmp_path / "s.csv", "-o", tmp_path / "out.h5"]
    assert message in refused(capsys, tmp_path, *words, *options)


@pytest.mark.parametrize("second", ["code_Fe", "code", "code#0", "code_Fe#0"])
def test_two_rows_of_a_structures_only_site(tmp_path, import_, capsys, second):
    import_("site\nA#0\n")
    first = "code_Fe#0" if second in ("code_Fe", "code") else "code_Fe"
    write(tmp_path / "s.csv", f"site\n{first}\nA#0\n{second}\n")
    words = ["import", tmp_path / "xyz", "--sites", tmp_path / "s.csv", "-o", tmp_path / "two.h5"]
    assert "s.csv: line 4: second row of site code_Fe" in refused(capsys, tmp_path, *words)
