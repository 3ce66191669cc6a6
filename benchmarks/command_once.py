"""Run one command of xanes-hpc in this process, and print its seconds and peak memory as JSON.

python benchmarks/command_once.py import SOURCE... -o OUTPUT
"""

import json
import sys
import time
from contextlib import redirect_stdout
from io import StringIO

from featurise_once import peak_bytes

from xanes_hpc.cli.main import cli


def main() -> None:
    begin = time.perf_counter()
    with redirect_stdout(StringIO()):
        cli.main(args=sys.argv[1:], standalone_mode=False)
    print(json.dumps({"seconds": time.perf_counter() - begin, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
