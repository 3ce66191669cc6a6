"""Run FEFF in the working folder, by ``python -m xanes_hpc.calculations.feff.run``; a process of its own.

Only the modules that a spectrum needs are run. Each writes what it says to the standard output.
"""

import sys

from xanes_hpc.formats.feff_input import NAME

MODULES = ("rdinp", "atomic", "pot", "screen", "opconsat", "xsph", "fms", "mkgtr", "path", "genfmt", "ff2x")


def main() -> None:
    """Run FEFF; the exit code is 1 if a module failed, after a line that names it."""
    import feff10

    try:
        stages = [feff10.Stage.from_name(name) for name in MODULES]
        feff10.FeffPipeline(feff10.FeffConfig.from_file(".", NAME, stages=stages)).run()
    except feff10.FeffError as error:
        sys.stdout.flush()
        print(f"\nfeff10: {str(error).splitlines()[0]}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
