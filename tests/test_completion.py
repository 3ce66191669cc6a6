"""What the shell proposes while a command is typed, and what is said of one that is mistyped."""

import os
import subprocess
import sys

import pytest
from builders import run


def proposed(words):
    """What is proposed for the last of some words."""
    environment = {
        **os.environ, "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1),
        "_XANES_HPC_COMPLETE": "bash_complete",
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'xanes-hpc'; from xanes_hpc.cli.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["xanes-hpc", "fe"], {"featurise"}),
        (["xanes-hpc", "fdmnes", ""], {"write", "ingest"}),
        (["xanes-hpc", "match", "--mi"], {"--mixture"}),
        (["xanes-hpc", "model", "p"], {"pack"}),
    ],
)
def test_commands_and_options_are_completed(words, expected):
    assert set(proposed(words)) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian'; did you mean 'train'?"),
        (["match", "--mixtures", "2"], "--mixture"),
        (["explain", "--windows", "1:2"], "--window"),
    ],
)
def test_what_is_mistyped_is_put_right(capsys, words, message):
    assert run(*words) == 2
    assert message in capsys.readouterr().err
