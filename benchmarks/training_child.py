"""Call one function of ``training_calls`` on a number of cores, and print its result as JSON.

python benchmarks/training_child.py FUNCTION CORES ARGUMENTS
"""

import json
import os
import sys


def main() -> None:
    call, n_cores, arguments = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # before importing anything that counts cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(n_cores)])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import training_calls

    print(json.dumps(getattr(training_calls, call)(**json.loads(arguments))))


if __name__ == "__main__":
    main()
