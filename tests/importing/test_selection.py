"""Selecting structures to import: by element, charge and size, as a seeded sample; and properties from tables."""

import gzip
import json

import h5py
import numpy as np
import pytest
from support.builders import frame, run, write, write_xyz

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.formats.property_tables import PropertyTable
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.importing.selection import key_of, parse_charges, parse_elements, sample_sizes, sampled_keys

METALS = {"Ti": 12, "Fe": 60, "Ni": 27, "Pd": 21}
"""Number of complexes of each metal."""


def complexes():
    """Yield the code, metal, charge and number of atoms of every complex, in random order."""
    kinds = [metal for metal, n in METALS.items() for _ in range(n)]
    order = np.random.default_rng(3).permutation(len(kinds))
    for k, i in enumerate(order):
        letters = "".join(chr(65 + k // 26**p % 26) for p in range(3))
        yield f"QQQ{letters}", kinds[i], int(k % 3) - 1, 3 + k % 5


def tmqm_frame(code, metal, charge, n_atoms):
    atoms = [(metal, 0.0, 0.0, 0.0), *(("O", 1.6 * k, 0.1, 0.0) for k in range(1, n_atoms))]
    return frame(atoms, f"CSD_code = {code} | q = {charge} | S = 0 | Stoichiometry = X | MND = 4 | 2020-2024 CSD")


@pytest.fixture
def tmqm(tmp_path):
    """Write the complexes to two files in tmQM's format, and their properties to a table."""
    every = list(complexes())
    for name, some in (("tmQM_X1.xyz.gz", every[:70]), ("tmQM_X2.xyz.gz", every[70:])):
        write(tmp_path / "tmqm" / name, "\n".join(tmqm_frame(*one) for one in some))
    rows = [f"{code};{-0.1 * k};{k};text {k}" for k, (code, *_) in enumerate(every)]
    write(tmp_path / "y.csv", "\n".join(["CSD_code;HL_Gap;q;Note", *rows]) + "\n")
    return tmp_path / "tmqm"


def imported(source, *words, capsys):
    """Import ``source``; return element, charge and number of atoms of each structure by name, and the summary."""
    output = source.parent / "out.h5"
    capsys.readouterr()
    assert run("import", source, "-o", output, "--overwrite", "--json", *words) == 0
    summary = json.loads(capsys.readouterr().out)
    with h5py.File(output) as file:
        names = [name.decode() for name in file["structures/name"][:]]
        columns = (file["sites/element"][:], file["structures/properties/charge"][:])
        sizes = np.diff(file["structures/offsets"][:])
        return dict(zip(names, zip(*columns, sizes, strict=True), strict=True)), summary


@pytest.mark.parametrize(
    ("words", "wanted", "reasons"),
    [
        (["--elements", "Ti-Zn"], lambda z, q, n: 22 <= z <= 30, {"element": 21}),
        (["--elements", "fe, Pd"], lambda z, q, n: z in (26, 46), {"element": 39}),
        (["--charge", "0"], lambda z, q, n: q == 0, {"charge": 80}),
        (["--charge", "-1,1"], lambda z, q, n: q != 0, {"charge": 40}),
        (["--max-atoms", "5"], lambda z, q, n: n <= 5, {"number of atoms": 48}),
        (["--max-atoms", "5", "--elements", "Fe"], lambda z, q, n: n <= 5 and z == 26, None),
    ],
)
def test_selected_structures_are_imported(tmqm, capsys, words, wanted, reasons):
    every, _ = imported(tmqm, capsys=capsys)
    assert len(every) == sum(METALS.values())
    found, summary = imported(tmqm, *words, capsys=capsys)
    assert found == {name: about for name, about in every.items() if wanted(*about)}
    if reasons:
        assert summary["not_selected"] == reasons
    assert sum(summary["not_selected"].values()) == len(every) - len(found)


def test_a_sample_keeps_the_proportions_of_the_metals(tmqm, capsys):
    every, _ = imported(tmqm, capsys=capsys)
    found, summary = imported(tmqm, "--sample", "40", "--seed", "7", capsys=capsys)
    assert {name: every[name] for name in found} == found
    elements = [int(z) for z, *_ in found.values()]
    assert {z: elements.count(z) for z in set(elements)} == {22: 4, 26: 20, 28: 9, 46: 7}
    assert summary["not_selected"] == {"sample": 80}
    again, _ = imported(tmqm, "--sample", "40", "--seed", "7", capsys=capsys)
    other, _ = imported(tmqm, "--sample", "40", "--seed", "8", capsys=capsys)
    assert again == found != other
    some, _ = imported(tmqm, "--sample", "40", "--seed", "7", "--elements", "Ti-Zn", capsys=capsys)
    assert len(some) == 40
    everything, _ = imported(tmqm, "--sample", "4000", capsys=capsys)
    assert everything == every


def test_a_sample_does_not_depend_on_the_division_into_files(tmqm, capsys):
    found, _ = imported(tmqm, "--sample", "30", capsys=capsys)
    text = "\n\n".join(gzip.decompress(path.read_bytes()).decode() for path in sorted(tmqm.iterdir(), reverse=True))
    whole = write(tmqm.parent / "whole" / "all.xyz", text)
    again, _ = imported(whole.parent, "--sample", "30", capsys=capsys)
    assert found == again


def test_unusable_structures_are_not_sampled(tmqm, capsys):
    write_xyz(tmqm / "two.xyz", (("Fe", 0.0, 0.0, 0.0), ("Fe", 0.0, 0.0, 2.0)), "CSD_code = QQQZZZ | q = 0")
    found, summary = imported(tmqm, "--sample", "120", capsys=capsys)
    assert len(found) == 120
    assert (summary["skipped_count"], len(summary["skipped"])) == (1, 1)


def test_sample_sizes_add_up_and_leave_no_element_out():
    elements = np.repeat(np.array([22, 26, 30], np.uint8), [1, 97, 2])
    assert sample_sizes(elements, 10) == {22: 1, 26: 8, 30: 1}
    assert sample_sizes(elements, 2) == {22: 0, 26: 2, 30: 0}
    for n in range(1, 101):
        given = sample_sizes(elements, n)
        assert sum(given.values()) == n
        assert given[22] <= 1
        assert given[30] <= 2
    keys = np.array([key_of(f"{k}", 0) for k in range(100)], np.uint64)
    small, medium, whole = (set(sampled_keys(keys, elements, n)) for n in (5, 50, 100))
    assert small <= medium <= whole == set(keys)


def test_properties_of_a_table_are_stored(tmqm, capsys):
    _, summary = imported(tmqm, "--properties", tmqm.parent / "y.csv", "--max-atoms", "4", capsys=capsys)
    codes = [code for code, *_ in complexes()]
    with h5py.File(tmqm.parent / "out.h5") as file:
        names = [name.decode() for name in file["structures/name"][:]]
        properties = file["structures/properties"]
        ranks = [codes.index(name) for name in names]
        np.testing.assert_allclose(properties["HL_Gap"][:], -0.1 * np.array(ranks))
        np.testing.assert_array_equal(properties["charge"][:], ranks)  # as in the table
        assert [v.decode() for v in properties["Note"][:]] == [f"text {k}" for k in ranks]
        assert properties["MND"][0] == 4
    assert (summary["without_properties"], summary["unused_properties"]) == (0, 0)
    every = list(complexes())
    changed = sum(rank != every[rank][2] for rank in ranks)
    assert summary["properties_replaced"] == {"charge": changed}


def test_table_rows_are_found_by_name_or_code(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "ABCDEF_FeO(2+).xyz")
    write_xyz(tmp_path / "xyz" / "GHIJKL_FeO(2+).xyz")
    table = write(tmp_path / "p.csv.gz", "gap,name\n1.5,ABCDEF\n,other\n")
    _, summary = imported(tmp_path / "xyz", "--properties", table, capsys=capsys)
    assert (summary["without_properties"], summary["unused_properties"]) == (1, 1)
    assert summary["first_without_properties"] == ["GHIJKL_FeO(2+)"]
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "other.h5", "--properties", table) == 0
    row = "structures without a row in the tables: 1 (GHIJKL_FeO(2+)); rows without a structure: 1"
    assert row in capsys.readouterr().out
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["structures/properties/gap"][:], [1.5, np.nan])
    found, _ = imported(tmp_path / "xyz", "--charge", "2", capsys=capsys)
    assert len(found) == 2


def test_a_table_of_sites_is_not_missing_for_their_structures(tmp_path):
    for name in "AB":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz", [("Fe", 0, 0, 0), ("Fe", 0, 0, 3.0), ("O", 0, 0, 1.5)])
    write_xyz(tmp_path / "xyz" / "C.xyz")
    table = write(tmp_path / "p.csv", "name,gap\nA#0,1.5\nA#1,2.5\nB#1,3.5\nB#7,0\n")
    summary = import_structures(
        [tmp_path / "xyz"], tmp_path / "s.h5", ImportOptions(absorber="Fe", properties=(table,))
    )
    assert (summary.first_without_properties, summary.unused_properties) == (["C"], 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: expected a column CSD_code or name, received nothing"),
        ("code;gap\n", r"line 1: expected a column CSD_code or name, received code, gap"),
        ("name;gap\na;1\nb\n", "line 3: expected 2 columns, received 1"),
        ("name;gap\na;1\n\na;2\n", "line 4: second row of a"),
        ("name;gap;note;gap\na;1;2;3\n", "line 1: expected every column once, received 'gap'"),
        ("name;charge\na;1\nb;2+\n", r"b: charge: expected a number, received '2\+'"),
        ("name;S\na;\nb;?\n", r"b: spin: expected a number, received '\?'"),
    ],
)
def test_unreadable_property_tables(tmp_path, text, message):
    with pytest.raises(FormatError, match=rf"p\.csv: {message}"):
        PropertyTable(write(tmp_path / "p.csv", text))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--elements", "Zn-Ti"], "--elements 'Zn-Ti': expected symbols and ranges in the order of the periodic table"),
        (["--elements", ""], "--elements '': expected symbols and ranges"),
        (["--elements", "Ti-Zn-Mo"], "received 'Ti-Zn-Mo'"),
        (["--elements", "Ti,Qq"], "received 'Qq'"),
        (["--charge", "one"], "--charge 'one': expected whole numbers, such as 0 or -1,0,1"),
        (["--charge", "7"], "nothing imported: the selection excludes every structure (120 by charge)"),
        (["--elements", "Au"], "nothing imported: the selection excludes every structure (120 by element)"),
        (["--properties", "none.csv"], "none.csv: cannot be read: No such file or directory"),
        (["--sample", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_options_are_refused(tmqm, capsys, words, message):
    assert run("import", tmqm, "-o", tmqm.parent / "out.h5", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmqm.parent / "out.h5").exists()


def test_selecting_by_an_unknown_charge(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "a.xyz")
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "out.h5", "--charge", "0") == 2
    error = capsys.readouterr().err
    assert "a.xyz: unknown charge, so --charge cannot select the structure; give its charge in" in error
    assert "a table of --properties" in error


def test_parsing_elements_and_charges():
    assert parse_elements("Ti-V, fe") == {22, 23, 26}
    assert parse_charges("-1,2") == {-1.0, 2.0}
    with pytest.raises(ConfigError):
        parse_elements("X")


def charges_of(folder, end="Total charge = 0.0\n\n"):
    """Write the natural charges of the atoms of every complex in tmQM's format."""
    blocks = []
    for k, (code, metal, _, n_atoms) in enumerate(complexes()):
        rows = [f" {metal}  {0.01 * k:.4f}", *(f" O  {-0.1 * a:.4f}" for a in range(1, n_atoms))]
        blocks.append("\n".join([f"CSD_code = {code} | 2020-2024 CSD", *rows]) + "\n" + end)
    return write(folder / "tmQM_X.q", "".join(blocks))


@pytest.mark.parametrize("end", ["Total charge = 0.0\n\n", "\n", ""])
def test_natural_charges_of_absorbers(tmqm, capsys, end):
    charges = charges_of(tmqm.parent, end)
    _, summary = imported(tmqm, "--properties", charges, "--properties", tmqm.parent / "y.csv", capsys=capsys)
    assert (summary["without_properties"], summary["unused_properties"]) == (0, 0)
    codes = [code for code, *_ in complexes()]
    with h5py.File(tmqm.parent / "out.h5") as file:
        names = [name.decode() for name in file["structures/name"][:]]
        found = file["structures/properties/natural_charge"][:]
    np.testing.assert_allclose(found, [0.01 * codes.index(name) for name in names], atol=1e-6)


def test_natural_charges_of_several_sites(tmqm):
    words = ["import", tmqm, "-o", tmqm.parent / "out.h5", "--properties", charges_of(tmqm.parent)]
    assert run(*words, "--absorber", "O", "--max-atoms", "4") == 0
    with h5py.File(tmqm.parent / "out.h5") as file:
        atoms, structures = file["sites/atom"][:], file["sites/structure"][:]
        several = np.bincount(structures)[structures] > 1
        found = file["sites/properties/natural_charge"][:]
        np.testing.assert_allclose(found[several], -0.1 * atoms[several], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.q: expected blocks that begin with CSD_code"),
        ("CSD_code = QQQAAA\n Fe one\n", "x.q: line 2: expected an element and a charge, received 'Fe one'"),
        ("CSD_code = A\n Fe 1\nCSD_code = A\n", "x.q: line 3: second block of A"),
    ],
)
def test_unreadable_tables_of_charges(tmqm, capsys, text, message):
    path = write(tmqm.parent / "x.q", text)
    assert run("import", tmqm, "-o", tmqm.parent / "out.h5", "--properties", path) == 2
    assert message in capsys.readouterr().err


def test_a_wrong_number_of_charges(tmqm, capsys):
    path = write(tmqm.parent / "x.q", "CSD_code = QQQAAA\n Fe 1.0\n")
    _, summary = imported(tmqm, "--properties", path, capsys=capsys)
    assert summary["skipped_count"] == 1
    assert "x.q: QQQAAA: expected 3 charges, one per atom, received 1" in summary["skipped"][0]["reason"]
    assert summary["without_properties"] == 119


def test_charges_of_other_atoms(tmqm, capsys):
    """The atoms of a block may be in another order."""
    text = charges_of(tmqm.parent).read_text()
    code, metal, *_ = next(complexes())
    block = text[: text.index("Total charge")].splitlines()
    path = write(tmqm.parent / "x.q", "\n".join([block[0], *block[:0:-1]]) + "\n")
    _, summary = imported(tmqm, "--properties", path, capsys=capsys)
    assert summary["skipped_count"] == 1
    expected = f"x.q: {code}: expected a charge of {metal} for atom 0, received O"
    assert expected in summary["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("name", "charge"),
    [("ABCDEF_FeO", 0.0), ("ABCDEF01_FeO", 0.0), ("ABCDEF_FeO(2-)", -2.0), ("ABCDEF_FeO2", None), ("abcdef_FeO", None)],
)
def test_charges_in_names_of_published_files(tmp_path, name, charge):
    """The names of neutral complexes have no charge, only the code and the formula."""
    write_xyz(tmp_path / "xyz" / f"{name}.xyz")
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "out.h5") == 0
    with h5py.File(tmp_path / "out.h5") as file:
        found = file.get("structures/properties/charge")
        assert (None if found is None else found[0]) == charge


def test_numbers_of_a_table_that_are_missing_or_in_doubt(tmp_path):
    table = PropertyTable(write(tmp_path / "a.csv", "name,E,note\nA,1.5,NaN\nB,-,x\nC,n/a,y\n"))
    assert [table.of(name) for name in "ABC"] == [{"E": 1.5, "note": "NaN"}, {"note": "x"}, {"note": "y"}]
    with pytest.raises(FormatError, match=r"b\.csv: E: expected numbers without commas, received '1,234'"):
        PropertyTable(write(tmp_path / "b.csv", 'name,E\nA,"1,234"\nB,"2,345"\n'))
    decimal = PropertyTable(write(tmp_path / "c.csv", "name;E\nA;0,234\nB;12,3456\n"))
    assert [decimal.of(name)["E"] for name in "AB"] == [0.234, 12.3456]
