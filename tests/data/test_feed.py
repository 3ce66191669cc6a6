"""Batches from stores: their sites, their order, and the memory they need."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from scipy.stats import spearmanr
from support.feeds import N_ENERGIES, Table, Targets, epoch_of, feed_of, part_of

from xanes_hpc.data import feed as feeding
from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.overlap import AHEAD


@pytest.fixture(params=["kept", "streamed"])
def way(request, monkeypatch):
    """Keep sites in memory, or stream them through a pool of about a hundred."""
    if request.param == "streamed":
        monkeypatch.setattr(feeding, "BUFFER_BYTES", 4_000)
    return request.param


def test_an_epoch_has_every_chosen_site_once_with_its_absorber_target_and_weights(way):
    part = part_of(200, 35, 90)
    feed = feed_of(part, n_members=2, resampled=True)
    assert feed._keep == (way == "kept")
    numbers, _, absorbers, y, weights = epoch_of(feed)
    assert numbers.size == feed.n_batches * 10 == part.n_sites // 10 * 10
    assert np.unique(numbers).size == numbers.size
    assert part.chosen[numbers].all()
    np.testing.assert_array_equal(absorbers, part.absorbers[numbers])
    np.testing.assert_allclose(y, numbers[:, None] + np.arange(N_ENERGIES), atol=0.02)
    np.testing.assert_array_equal(weights, feed._weights[numbers])


def test_every_epoch_drops_other_sites(way):
    part = part_of(200)
    feed = feed_of(part, batch_size=100)
    seen = [set(epoch_of(feed, epoch)[0]) for epoch in range(3)]
    assert all(len(s) == 100 for s in seen)
    assert len(set.union(*seen)) > 130


def test_the_order_depends_on_seed_and_epoch_only(way, monkeypatch):
    """Slow chunks and the number of reading threads do not matter."""
    orders = []
    for n_readers, pause in ((1, None), (4, lambda start: 0.002 * (start // 7 % 3)), (3, lambda start: start * 1e-5)):
        monkeypatch.setattr(feeding, "READERS", n_readers)
        orders.append(epoch_of(feed_of(part_of(200, 90, pause=pause)), 1)[0])
    assert all(np.array_equal(order, orders[0]) for order in orders)
    others = [epoch_of(feed_of(part_of(200, 90), seed=seed), epoch)[0] for seed, epoch in ((0, 0), (1, 1))]
    assert not any(np.array_equal(order, orders[0]) for order in others)


def test_the_order_does_not_depend_on_earlier_epochs(way):
    feed = feed_of(part_of(200))
    first = epoch_of(feed, 3)[0]
    epoch_of(feed, 7)
    feed.forget()
    np.testing.assert_array_equal(epoch_of(feed, 3)[0], first)


def test_the_order_differs_from_the_order_of_the_store(way):
    """Spearman's rank correlation with the store's order is 0 ± 0.01 for a random order, and 0 ± 0.04 for a random
    order of chunks of 16 sites. Buffers hold a hundredth of the sites."""
    feed = feed_of(part_of(8000, 1000, chunk_rows=16), batch_size=5)
    for epoch in range(3):
        numbers = epoch_of(feed, epoch)[0]
        assert abs(spearmanr(np.arange(numbers.size), numbers).statistic) < 0.12
        together = np.mean(numbers[1:] // 16 == numbers[:-1] // 16)
        assert together < (0.01 if way == "kept" else 0.25)


def test_memory_is_bounded(monkeypatch):
    chunk_rows, width, buffer = 128, 64, 2 << 20
    monkeypatch.setattr(feeding, "BUFFER_BYTES", buffer)
    feed = feed_of(part_of(40_000, chunk_rows=chunk_rows, width=width))
    whole, chunk = (4 * n * (width + N_ENERGIES + 2) for n in (feed._sites.n_sites, chunk_rows))
    tracemalloc.start()
    n_rows = sum(block[0].shape[0] * feed.batch_size for block in feed.blocks(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 30_000
    assert whole > 3 * buffer
    assert peak < buffer + 3 * chunk * (feeding.READERS + AHEAD + 1)


def test_sites_in_memory_are_read_once(monkeypatch):
    reads = Counter()
    monkeypatch.setattr(Table, "read", lambda self, start, stop, read=Table.read: (
        reads.update([type(self)]), read(self, start, stop))[1])  # fmt: skip
    feed = feed_of(part_of(210))
    for epoch in range(3):
        epoch_of(feed, epoch)
    assert reads == {Table: 30, Targets: 30}


def test_variants_are_mixed_within_an_epoch_and_between_epochs(way):
    """The sources have three, one and two variants."""
    part = part_of(400, 400, 400, n_variants=(3, 1, 2))
    feed = feed_of(part)
    taken = np.full((6, 1200), -1)
    for epoch in range(6):
        numbers, variants, *_ = epoch_of(feed, epoch)
        taken[epoch, numbers] = variants
    for source, n in enumerate((3, 1, 2)):
        own = taken[:, 400 * source : 400 * (source + 1)]
        own = own[:, (own >= 0).all(axis=0)]
        for epoch in range(6):
            assert set(own[epoch]) == set(range(n))
        fractions = np.bincount(own.ravel(), minlength=n) / own.size
        np.testing.assert_allclose(fractions, 1 / n, atol=0.12)
        assert n == 1 or (own != own[0]).any(axis=0).mean() > 0.8


def test_resampling_weights_have_mean_one_differ_by_member_and_are_reproducible():
    part = part_of(8000)
    first, again, more, other = (
        feed_of(part, seed=seed, n_members=n, resampled=True)._weights for seed, n in ((0, 3), (0, 3), (0, 5), (1, 3))
    )
    np.testing.assert_allclose(first.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(first.var(axis=0), 1.0, atol=0.06)
    assert np.abs(np.corrcoef(first.T) - np.eye(3)).max() < 0.04
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(more[:, :3], first)
    assert not np.array_equal(other, first)
    assert (feed_of(part, n_members=3)._weights == 1).all()


def test_resampling_does_not_depend_on_chunks():
    feeds = [feed_of(part_of(200, chunk_rows=n), n_members=2, resampled=True) for n in (7, 50)]
    by_site = [dict(zip(e[0], map(tuple, e[4]), strict=True)) for e in map(epoch_of, feeds)]
    assert {k: v for k, v in by_site[0].items() if k in by_site[1]}.items() <= by_site[1].items()


@pytest.mark.parametrize(("n_sites", "batch_size", "n_devices", "expected"), [
    (40, 10, 1, (10, 3)), (40, 1000, 1, (30, 1)), (40, 1000, 4, (28, 1)), (40, 8, 4, (8, 3)), (4, 128, 3, (3, 1)),
])  # fmt: skip
def test_batches_fit_the_devices(n_sites, batch_size, n_devices, expected):
    feed = feed_of(part_of(n_sites), batch_size, n_devices=n_devices)
    assert (feed.batch_size, feed.n_batches) == expected
    assert sum(block[0].shape[0] for block in feed.blocks(0)) == feed.n_batches


def test_fewer_sites_than_devices():
    with pytest.raises(ConfigError, match="3 training sites are too few for 4 devices; use fewer"):
        feed_of(part_of(4), n_devices=4)
