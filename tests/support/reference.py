"""Slow, obvious versions of the kernels, written straight from the definitions and sharing no code with them.

fc(r) = (cos(pi r / r_c) + 1) / 2 for r < r_c, else 0
G1 = sum_j fc(r_ij)
G2 = sum_j w(Z_j) exp(-eta (r_ij - mu)^2) fc(r_ij)
G4 = 2^(1 - zeta) sum_{j<k} w(Z_j) w(Z_k) (1 + lambda cos theta_jik)^zeta
     exp(-eta [(r_ij - mu)^2 + (r_ik - mu)^2 + (r_jk - mu)^2]) fc(r_ij) fc(r_ik) fc(r_jk)
PATH = sum over j and k of w(Z_j) Z_k cos^2(beta / 2)^zeta exp(-eta (rho - mu)^2) fc(rho) / (r_ij r_jk r_ki)
       with rho = (r_ij + r_jk + r_ki) / 2, and beta the angle by which the path from i via j to k turns at j
POWER = sum over j and k, also j = k, of w(Z_j) w'(Z_k) exp(-eta (r_ij - mu)^2) exp(-eta' (r_ik - mu')^2)
        P_l(cos theta_jik) fc(r_ij) fc(r_ik)
ARMS = sum_{j<k} w(Z_j) w(Z_k) A(theta_jik) exp(-eta ((r_ij + r_ik) / 2 - mu)^2) fc(r_ij) fc(r_ik)
       with A = 2^(1 - zeta) (1 + lambda cos theta)^zeta or exp((cos(theta - angle) - 1) / width^2)
BONDED = sum_j w(Z_j) n(j) exp(-eta (r_ij - mu)^2) fc(r_ij), n(j) the number of atoms of a group bonded to j:
         1 for each up to 1.1 sums of the covalent radii, then falling to 0 at 1.4 as half a cosine's period
RDC(R) = sum_j Z_i Z_j exp(-alpha (r_ij - R)^2)
"""

import itertools
import math

import numpy as np
from ase.data import covalent_radii


def fc(r, cutoff):
    return 0.5 * (math.cos(math.pi * r / cutoff) + 1.0) if r < cutoff else 0.0


def g1(vectors, cutoff):
    return sum(fc(math.dist(v, (0, 0, 0)), cutoff) for v in vectors)


def g2(vectors, weights, cutoff, mu, eta):
    total = 0.0
    for v, w in zip(vectors, weights, strict=True):
        r = math.dist(v, (0, 0, 0))
        total += w * math.exp(-eta * (r - mu) ** 2) * fc(r, cutoff)
    return total


def triplets(vectors, cutoff):
    """Return (j, k, r_ij, r_ik, r_jk, theta) of every two neighbours within the cutoff of each other.

    The angle comes from atan2 of cross and dot product, which is accurate even if it is nearly straight.
    """
    found = []
    for j, k in itertools.combinations(range(len(vectors)), 2):
        r_jk = math.dist(vectors[j], vectors[k])
        if r_jk < cutoff:
            sine, cosine = np.linalg.norm(np.cross(vectors[j], vectors[k])), np.dot(vectors[j], vectors[k])
            r_ij, r_ik = math.dist(vectors[j], (0, 0, 0)), math.dist(vectors[k], (0, 0, 0))
            found.append((j, k, r_ij, r_ik, r_jk, math.atan2(sine, cosine)))
    return found


def g4(found, weights, cutoff, mu, eta, lambda_, zeta):
    total = 0.0
    for j, k, r_ij, r_ik, r_jk, theta in found:
        angular = one_plus_cosine(lambda_, theta) ** zeta
        gaussian = math.exp(-eta * ((r_ij - mu) ** 2 + (r_ik - mu) ** 2 + (r_jk - mu) ** 2))
        cut = fc(r_ij, cutoff) * fc(r_ik, cutoff) * fc(r_jk, cutoff)
        total += weights[j] * weights[k] * angular * gaussian * cut
    return 2.0 ** (1.0 - zeta) * total


def paths(vectors, cutoff):
    """Return (j, k, rho, cos^2(beta / 2), sides) of every path i, j, k, i whose half-length is below the cutoff.

    Distances between neighbours below 0.1 Å are replaced by 0.1 Å where they divide.
    """
    found = []
    for j, k in itertools.permutations(range(len(vectors)), 2):
        leg = np.subtract(vectors[k], vectors[j])
        r_ij, r_jk, r_ki = (math.dist(v, (0, 0, 0)) for v in (vectors[j], leg, vectors[k]))
        rho = (r_ij + r_jk + r_ki) / 2.0
        if rho < cutoff:
            beta = math.atan2(np.linalg.norm(np.cross(vectors[j], leg)), np.dot(vectors[j], leg))
            forward = math.cos(beta / 2.0) ** 2 * min(r_jk / 0.1, 1.0)
            found.append((j, k, rho, forward, r_ij * max(r_jk, 0.1) * r_ki))
    return found


def path_function(found, weights, numbers, cutoff, mu, eta, zeta):
    total = 0.0
    for j, k, rho, forward, sides in found:
        gaussian = math.exp(-eta * (rho - mu) ** 2)
        total += weights[j] * numbers[k] * forward**zeta * gaussian * fc(rho, cutoff) / sides
    return total


def power(vectors, weights, others, cutoff, first, second, degree):
    """``first`` and ``second`` are (mu, eta) of the Gaussians of the weights and of the other weights."""
    total = 0.0
    for v, w in zip(vectors, weights, strict=True):
        for u, x in zip(vectors, others, strict=True):
            r, s = math.dist(v, (0, 0, 0)), math.dist(u, (0, 0, 0))
            theta = math.atan2(np.linalg.norm(np.cross(v, u)), np.dot(v, u))
            gaussians = math.exp(-first[1] * (r - first[0]) ** 2 - second[1] * (s - second[0]) ** 2)
            legendre = np.polynomial.legendre.Legendre.basis(degree)(math.cos(theta))
            total += w * x * gaussians * legendre * fc(r, cutoff) * fc(s, cutoff)
    return total


def arms(vectors, weights, cutoff, mu, eta, angular):
    """``angular`` is a function of the angle."""
    total = 0.0
    for j, k in itertools.combinations(range(len(vectors)), 2):
        r, s = math.dist(vectors[j], (0, 0, 0)), math.dist(vectors[k], (0, 0, 0))
        sine, cosine = np.linalg.norm(np.cross(vectors[j], vectors[k])), np.dot(vectors[j], vectors[k])
        gaussian = math.exp(-eta * ((r + s) / 2.0 - mu) ** 2)
        angle = angular(math.atan2(sine, cosine))
        total += weights[j] * weights[k] * angle * gaussian * fc(r, cutoff) * fc(s, cutoff)
    return total


def bonds(vectors, numbers, group):
    """Return how many of all neighbours are bonded to each one, (n,); ``group`` says whether an element counts."""
    found = np.zeros(len(vectors))
    for j, k in itertools.permutations(range(len(vectors)), 2):
        over = math.dist(vectors[j], vectors[k]) / (covalent_radii[numbers[j]] + covalent_radii[numbers[k]])
        part = 1.0 if over < 1.1 else 0.5 * (math.cos(math.pi * (over - 1.1) / 0.3) + 1.0) if over < 1.4 else 0.0
        found[j] += part * group(numbers[k])
    return found


def one_plus_cosine(lambda_, theta):
    """Return 1 + lambda cos theta, without cancellation if lambda is 1 or -1."""
    if lambda_ == 1.0:
        return 2.0 * math.cos(theta / 2.0) ** 2
    if lambda_ == -1.0:
        return 2.0 * math.sin(theta / 2.0) ** 2
    return 1.0 + lambda_ * math.cos(theta)


def neighbours(positions, cell, pbc, centre, cutoff):
    """Return (atom, n0, n1, n2, vector) of every atom and image within the cutoff of atom ``centre``.

    Every image is tried, up to the cutoff plus the extent of the atoms, divided by the spacing of the lattice planes.
    """
    positions, cell = np.asarray(positions, float), np.array(cell, float)
    extent = max(math.dist(p, positions[centre]) for p in positions)
    most = [0, 0, 0]
    for c in range(3):
        if pbc[c]:
            others = [cell[d] for d in range(3) if d != c and pbc[d]]
            normal = perpendicular(cell[c], others)
            most[c] = math.ceil((cutoff + extent) / math.sqrt(normal @ normal)) + 1
    found = []
    for atom, position in enumerate(positions):
        for n in itertools.product(*(range(-m, m + 1) for m in most)):
            vector = position + sum(n[c] * cell[c] for c in range(3) if pbc[c]) - positions[centre]
            if (atom != centre or any(n)) and math.sqrt(vector @ vector) < cutoff:
                found.append((atom, *n, vector))
    return found


def perpendicular(vector, others):
    """Return the component of a vector that is perpendicular to all others."""
    rest = np.array(vector, float)
    basis = []
    for other in others:
        direction = np.array(other, float)
        for b in basis:
            direction = direction - (direction @ b) * b
        basis.append(direction / math.sqrt(direction @ direction))
    for b in basis:
        rest = rest - (rest @ b) * b
    return rest


ELECTRONEGATIVITY = {
    1: 2.20,
    6: 2.55,
    7: 3.04,
    8: 3.44,
    9: 3.98,
    15: 2.19,
    16: 2.58,
    17: 3.16,
    26: 1.83,
    35: 2.96,
    53: 2.66,
}
"""Pauling electronegativities of the elements in the tests, by atomic number."""


def weight(weighting, channel, z):
    """Return w(Z) of one channel of a ``[[weighting]]``, as ``describe()`` writes it."""
    from ase.data import atomic_numbers

    if "weights" in weighting:
        tables = {"Z": z, "one": 1.0, "electronegativity": ELECTRONEGATIVITY.get(z, 0.0)}
        return weighting["scale"] * tables[weighting["weights"]]
    groups = [[e] if isinstance(e, str) else e for e in weighting["elements"]]
    if groups[channel] == ["other"]:
        named = {atomic_numbers[e] for group in groups for e in group if e != "other"}
        return float(z not in named and z > 0)  # a dummy atom has no element
    return float(z in {atomic_numbers[e] for e in groups[channel]})


def functions(kind, given, vectors, weights, numbers, cutoff):
    """Return the functions of one channel, of a kind that combines no channels."""
    gaussians = list(zip(given["mu"], given["eta"], strict=True))
    if kind == "g2":
        return [g2(vectors, weights, cutoff, mu, eta) for mu, eta in gaussians]
    if kind == "paths":
        found = paths(vectors, cutoff)
        return [
            path_function(found, weights, numbers, cutoff, mu, eta, zeta)
            for mu, eta in gaussians
            for zeta in given["zeta"]
        ]
    if kind == "arms":
        angular = [
            lambda t, x=x, z=z: 2.0 ** (1.0 - z) * one_plus_cosine(x, t) ** z
            for x in given.get("lambda", [])
            for z in given.get("zeta", [])
        ]
        for degrees in given.get("angles", []):
            angle, width = math.radians(degrees), math.radians(given["width"])
            angular.append(lambda t, a=angle, w=width: math.exp((math.cos(t - a) - 1.0) / w**2))
        return [arms(vectors, weights, cutoff, mu, eta, one) for mu, eta in gaussians for one in angular]
    found = triplets(vectors, cutoff)
    return [
        g4(found, weights, cutoff, mu, eta, lambda_, zeta)
        for mu, eta in gaussians
        for lambda_ in given["lambda"]
        for zeta in given["zeta"]
    ]


def wacsf(description, atoms, site):
    """Return the features of one site from a description: G1, then every kind of functions of all weightings."""
    cutoff = description["cutoff"]
    near = neighbours(atoms.get_positions(), atoms.cell, atoms.pbc, site, cutoff)
    vectors = [row[-1] for row in near]
    features = [g1(vectors, cutoff)] if description["g1"] else []
    for kind in ("g2", "g4", "paths", "power", "arms", "bonded"):
        for weighting in description["weighting"]:
            if kind in weighting:
                own_cutoff = weighting.get("cutoff", cutoff)
                closer = [row for row in near if math.dist(row[-1], (0, 0, 0)) < own_cutoff]
                own_vectors = [row[-1] for row in closer]
                numbers = [int(atoms.numbers[row[0]]) for row in closer]
                channels = range(len(weighting.get("elements", [0])))
                tables = [[weight(weighting, channel, z) for z in numbers] for channel in channels]
                if kind == "power":
                    features += power_functions(weighting[kind], own_vectors, tables, own_cutoff)
                    continue
                if kind == "bonded":
                    every = [int(atoms.numbers[row[0]]) for row in near]
                    features += bonded_functions(weighting, near, every, own_cutoff)
                    continue
                for weights in tables:
                    features += functions(kind, weighting[kind], own_vectors, weights, numbers, own_cutoff)
    return np.array(features)


def power_functions(given, vectors, tables, cutoff):
    """Return the power spectra of every two rows of channel and Gaussian."""
    gaussians = list(zip(given["mu"], given["eta"], strict=True))
    rows = [(weights, gaussian) for weights in tables for gaussian in gaussians]
    return [
        power(vectors, weights, others, cutoff, first, second, degree)
        for (weights, first), (others, second) in itertools.combinations_with_replacement(rows, 2)
        for degree in given["l"]
    ]


def bonded_functions(weighting, near, numbers, cutoff):
    """Return the bonded functions of every channel and group."""
    vectors, given = [row[-1] for row in near], weighting["bonded"]
    found = []
    for channel in range(len(weighting.get("elements", [0]))):
        for group in range(len(given["to"])):
            counts = bonds(vectors, numbers, lambda z, g=group: weight({"elements": given["to"]}, g, z))
            weights = [weight(weighting, channel, z) * n for z, n in zip(numbers, counts, strict=True)]
            found += [g2(vectors, weights, cutoff, m, e) for m, e in zip(given["mu"], given["eta"], strict=True)]
    return found


def rdc(description, atoms, site):
    """Return the curve of one site from a description.

    The cutoff is where a Gaussian at r_max has fallen to 1e-9 of its height.
    """
    r_min, r_max, n, alpha = (description[key] for key in ("r_min", "r_max", "n", "alpha"))
    cutoff = r_max + math.sqrt(math.log(1e9) / alpha)
    near = neighbours(atoms.get_positions(), atoms.cell, atoms.pbc, site, cutoff)
    curve = []
    for g in range(n):
        at, total = r_min + g * ((r_max - r_min) / (n - 1)), 0.0
        for atom, *_, vector in near:
            r = math.dist(vector, (0, 0, 0))
            total += float(atoms.numbers[site]) * float(atoms.numbers[atom]) * math.exp(-alpha * (r - at) ** 2)
        curve.append(total)
    return np.array(curve)


def bins(energies, begin, end):
    """Yield the lower and upper end of every point's bin; None for a bin entirely below ``begin``."""
    first = begin if begin == -math.inf else 1.5 * energies[0] - 0.5 * energies[1]
    for k, energy in enumerate(energies):
        lower = first if k == 0 else 0.5 * (energies[k - 1] + energy)
        upper = end if k == len(energies) - 1 else 0.5 * (energy + energies[k + 1])
        yield None if upper <= begin else (max(lower, begin), upper)


def broadened(energies, intensities, begin, end, widths, integral):
    """Convolve a spectrum, constant over its bins, with a line shape of unit area, given the shape's integral to x."""
    result = []
    for energy, width in zip(energies, widths, strict=True):
        total = 0.0
        for own, intensity in zip(bins(energies, begin, end), intensities, strict=True):
            if own is not None:
                total += intensity * (integral((own[1] - energy) / width) - integral((own[0] - energy) / width))
        result.append(total)
    return np.array(result)


def lorentzian_integral(x):
    """Return the integral from 0 to x of a Lorentzian of unit area and full width 1 at half maximum."""
    return math.atan(2 * x) / math.pi


def gaussian_integral(x):
    """Return the integral from 0 to x of a Gaussian of unit area and full width 1 at half maximum."""
    return 0.5 * math.erf(2 * math.sqrt(math.log(2)) * x)


def summed(energies, intensities, begin, end, width):
    """Sum unnormalised Lorentzians of all points from ``begin`` on, repeating the last point in steps until ``end``."""
    step = energies[-1] - energies[-2]
    points = [(e, y) for e, y in zip(energies, intensities, strict=True) if e >= begin]
    points += [(energies[-1] + k * step, intensities[-1]) for k in range(1, round((end - energies[-1]) / step) + 1)]
    return np.array([sum(y * (width / 2) / ((e - x) ** 2 + (width / 2) ** 2) for x, y in points) for e in energies])
