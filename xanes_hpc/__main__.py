"""``python -m xanes_hpc``."""

from xanes_hpc.cli.main import run

if __name__ == "__main__":
    run()
