"""A browser with the page open, for the tests of the page."""

import numpy as np
import pytest
from support.builders import frame, write

from xanes_hpc.stores.structures import StructureStore


@pytest.fixture(scope="module")
def address(model):
    from support.browser import served

    with served(model) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    from support.browser import CHROMIUM, FLAGS

    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    from support.browser import opened

    with opened(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """Write two structures of the small set, one with two absorbing elements, a damaged one, and one without any."""
    folder = tmp_path_factory.mktemp("files")
    with StructureStore(small / "small.h5") as source:
        names = source.sites.name
        rows = [names.index(next(n for n in names if f"_{metal}_" in n)) for metal in ("Fe", "Co")]
        for name, (structure, _) in zip(("iron", "cobalt"), source.structures_at(np.array(rows)), strict=True):
            atoms = [(int(z), *p) for z, p in zip(structure.numbers, structure.positions, strict=True)]
            write(folder / f"{name}.xyz", frame(atoms))
    write(folder / "two.xyz", frame([("Fe", 0, 0, 0), ("O", 0, 0, 1.8), ("Ni", 0, 0, 3.6), ("O", 0, 1.8, 0)]))
    write(folder / "bad.xyz", "3\n\nFe 0 0 0\n")
    write(folder / "none.xyz", frame([("C", 0, 0, 0), ("O", 0, 0, 1.2)]))
    return folder
