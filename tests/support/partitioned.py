"""Plan features, make their partitions and finalise them, in parts of 32 sites."""

from support import stored
from xanes_hpc import descriptors
from xanes_hpc.features import featurise
from xanes_hpc.features.plan import plan
from xanes_hpc.jobs import run

DESCRIPTOR = descriptors.load("wacsf", "xanesnet-49")


def write_source(path, n_sites):
    """Write a store of ``n_sites`` sites, each in its own structure of three atoms."""
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(n_sites)]
    stored.write_structures(path, entries)


def job_of(source, output):
    """Return the job of computing a store's features."""
    return featurise.FeatureJob(source, plan(source, DESCRIPTOR), output)


def planned(source, output, n_partitions=3, **options):
    return run.plan(job_of(source, output), n_partitions, ["xanes-hpc"], **options)


def make_partition(source, output, partition, *words):
    job, n_partitions = featurise.planned_job(source, output)
    return run.make_partition(job, partition, n_partitions, *words)


def finalise(source, output, **options):
    job, n_partitions = featurise.planned_job(source, output)
    run.finalise(job, n_partitions, **options)


def all_made(source, output, n_partitions=3, **options):
    planned(source, output, n_partitions, **options)
    for k in range(n_partitions):
        make_partition(source, output, k)
