"""What the tests of imports share."""

import json

import pytest
from support.builders import run


@pytest.fixture
def imported(tmp_path, capsys):
    """Return a function that runs an import and returns its summary."""

    def import_(*arguments, skipped=0):
        capsys.readouterr()
        code = run("import", "--json", *arguments, "-o", tmp_path / "out.h5", "--overwrite")
        printed = capsys.readouterr()
        assert code == 0, printed.err
        summary = json.loads(printed.out)
        assert summary["skipped_count"] == len(summary["skipped"]) == skipped, summary["skipped"]
        return summary

    return import_
