"""Pairs of neighbours of one site, tested a vector at a time and packed without gaps.

LLVM does not vectorise a loop that keeps only some of its elements. These functions are bodies of such loops for one
vector of 64 bytes. They write the values of the kept pairs one after another, followed by the rest of the vector, which
the next call overwrites. So rows to read need ``LANES - 1`` additional columns, and rows to write ``LANES``.

Rows of ``neighbours``, shape (n_rows, n): 0 to 2 vector from the site, 3 squared length, 4 sqrt(1/2) / length; further
rows are values to multiply or add for a pair. Pairs are (p, q), (p, q + 1), … A column at ``FAR`` is never kept.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from xanes_hpc_kernels._jit import FASTMATH, inline
from xanes_hpc_kernels.types import Floats

VECTOR_BYTES = 64
LANES = VECTOR_BYTES // 4
"""Maximum number of elements in a vector, which float32 has."""
APART = 1024
"""Bytes between the rows that a loop reads and writes. If they are closer, LLVM cannot rule out that they
overlap, and may run the scalar loop, which rounds differently. Results must not depend on memory addresses."""
FAR = 1e15
"""A coordinate that is near no atom; its square is finite in float32."""
X, Y, Z, SQUARE, INVERSE, N_GEOMETRY = range(6)
"""Rows of ``neighbours``, and the first row for the caller's values."""
OPPOSITE_SQUARED, SUM_OF_SQUARES, COSINE = range(3)
"""Rows written by ``keep_close``."""


class _Vectors:
    """Operations on vectors of one array type, in LLVM's intermediate representation."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.context, self.builder, self.dtype = context, builder, dtype
        self.n = VECTOR_BYTES * 8 // dtype.bitwidth
        self.type = ir.VectorType(context.get_value_type(dtype), self.n)
        self.mask = ir.VectorType(ir.IntType(1), self.n)
        self.undefined = ir.Constant(self.type, ir.Undefined)

    def address(self, array_type: Any, array: Any, row: Any, column: Any) -> Any:
        view = self.context.make_array(array_type)(self.context, self.builder, array)
        start = self.builder.mul(row, self.builder.extract_value(view.shape, 1))
        return self.builder.gep(view.data, [self.builder.add(start, column)])

    def everywhere(self, scalar: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        first = self.builder.insert_element(self.undefined, scalar, zero)
        return self.builder.shuffle_vector(
            first, self.undefined, ir.Constant(ir.VectorType(ir.IntType(32), self.n), [0] * self.n)
        )

    def load(self, address: Any) -> Any:
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        return self.builder.load(pointer, align=self.dtype.bitwidth // 8)

    def store_kept(self, mask: Any, values: Any, address: Any) -> None:
        kind = "f" if isinstance(self.dtype, types.Float) else "i"
        name = f"llvm.experimental.vector.compress.v{self.n}{kind}{self.dtype.bitwidth}"
        signature = ir.FunctionType(self.type, [self.type, self.mask, self.type])
        compress = cgutils.get_or_insert_function(self.builder.module, signature, name)  # type: ignore[no-untyped-call]
        packed = self.builder.call(compress, [values, mask, self.undefined])
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        self.builder.store(packed, pointer, align=self.dtype.bitwidth // 8)

    def apply(self, operation: str, a: Any, b: Any) -> Any:
        return getattr(self.builder, operation)(a, b, flags=tuple(FASTMATH))


def _keep_close(
    typingctx: Any, neighbours: Any, p: Any, q: Any, limit: Any, triplets: Any, t: Any
) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(context, builder, neighbours.dtype)
        rows, p, q, limit, out, t = arguments

        def index(row: int) -> Any:
            return ir.Constant(ir.IntType(64), row)

        def of_p(row: int) -> Any:
            return v.everywhere(builder.load(v.address(neighbours, rows, index(row), p)))

        def of_q(row: int) -> Any:
            return v.load(v.address(neighbours, rows, index(row), q))

        x, y, z = (v.apply("fsub", of_q(row), of_p(row)) for row in (X, Y, Z))
        squares = [v.apply("fmul", side, side) for side in (x, y, z)]
        opposite = v.apply("fadd", v.apply("fadd", squares[0], squares[1]), squares[2])
        arms = v.apply("fadd", of_q(SQUARE), of_p(SQUARE))
        cosine = v.apply("fmul", v.apply("fsub", arms, opposite), v.apply("fmul", of_q(INVERSE), of_p(INVERSE)))
        mask = builder.fcmp_ordered("<", opposite, v.everywhere(limit))
        kept = {OPPOSITE_SQUARED: opposite, SUM_OF_SQUARES: v.apply("fadd", arms, opposite), COSINE: cosine}
        for row, values in kept.items():
            v.store_kept(mask, values, v.address(triplets, out, index(row), t))
        return builder.zext(builder.bitcast(mask, ir.IntType(v.n)), ir.IntType(64))

    return types.int64(neighbours, types.int64, types.int64, neighbours.dtype, triplets, types.int64), codegen


def _keep(operation: str) -> Callable[..., Any]:
    def typed(
        typingctx: Any, kept: Any, neighbours: Any, row: Any, p: Any, q: Any, triplets: Any, target: Any, t: Any
    ) -> tuple[Any, Callable[..., Any]]:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            v = _Vectors(context, builder, neighbours.dtype)
            bits, rows, row, p, q, out, target, t = arguments
            mask = builder.bitcast(builder.trunc(bits, ir.IntType(v.n)), v.mask)
            of_p = v.everywhere(builder.load(v.address(neighbours, rows, row, p)))
            of_q = v.load(v.address(neighbours, rows, row, q))
            v.store_kept(mask, v.apply(operation, of_q, of_p), v.address(triplets, out, target, t))

        index = types.int64
        return types.void(types.int64, neighbours, index, index, index, triplets, index, index), codegen

    return typed


class _Near:
    """One vector of columns of ``points``, from ``o`` on and before ``stop``, with squared distances from a centre."""

    def __init__(self, context: Any, builder: Any, points: Any, rows: Any, o: Any, stop: Any, *centre: Any) -> None:
        self.builder = builder
        self.real, self.index = (_Vectors(context, builder, t) for t in (types.float64, types.int64))
        v = self.real
        squares = []
        for row, coordinate in enumerate(centre):
            there = v.load(v.address(points, rows, ir.Constant(ir.IntType(64), row), o))
            side = v.apply("fsub", there, v.everywhere(coordinate))
            squares.append(v.apply("fmul", side, side))
        self.squared = v.apply("fadd", v.apply("fadd", squares[0], squares[1]), squares[2])
        self.columns = builder.add(self.index.everywhere(o), ir.Constant(self.index.type, list(range(v.n))))
        self.before_stop = builder.icmp_signed("<", self.columns, self.index.everywhere(stop))

    def within(self, limit: Any) -> Any:
        closer = self.builder.fcmp_ordered("<", self.squared, self.real.everywhere(limit))
        return self.builder.and_(closer, self.before_stop)

    def count(self, mask: Any) -> Any:
        bits = self.builder.bitcast(mask, ir.IntType(self.real.n))
        return self.builder.zext(self.builder.ctpop(bits), ir.IntType(64))


def _keep_near(
    typingctx: Any, points: Any, o: Any, stop: Any, x: Any, y: Any, z: Any, limit: Any, near: Any, n: Any
) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *region, limit, out, n = arguments
        candidates = _Near(context, builder, points, *region)
        mask = candidates.within(limit)
        data = context.make_array(near)(context, builder, out).data
        candidates.index.store_kept(mask, candidates.columns, builder.gep(data, [n]))
        return candidates.count(mask)

    real, integer = types.float64, types.int64
    return integer(points, integer, integer, real, real, real, real, near, integer), codegen


def _count_near(
    typingctx: Any, points: Any, o: Any, stop: Any, x: Any, y: Any, z: Any, inner: Any, outer: Any
) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *region, inner, outer = arguments
        candidates = _Near(context, builder, points, *region)
        counts = [candidates.count(candidates.within(limit)) for limit in (inner, outer)]
        return context.make_tuple(builder, signature.return_type, counts)

    real, integer = types.float64, types.int64
    two: Any = types.UniTuple(integer, 2)  # type: ignore[no-untyped-call]
    return two(
        points,
        integer,
        integer,
        real,
        real,
        real,
        real,
        real,
    ), codegen


def _count(typingctx: Any, kept: Any) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), codegen


def _lanes(typingctx: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), VECTOR_BYTES * 8 // array.dtype.bitwidth)

    return types.int64(array), codegen


Kernel = Callable[..., Any]
keep_close = cast(Kernel, intrinsic(_keep_close))
"""``keep_close(neighbours, p, q, limit, triplets, t)``: write the geometry of pairs whose squared distance is below the
limit to rows 0 to 2 of ``triplets``, from column ``t`` on: this squared distance, the sum of the squares of all three
sides, and the cosine of the angle at the site. Return the kept pairs as bits."""
keep_product = cast(Kernel, intrinsic(_keep("fmul")))
"""``keep_product(kept, neighbours, row, p, q, triplets, target, t)``: write the product of the two values in ``row``
to row ``target``, for the kept pairs."""
keep_sum = cast(Kernel, intrinsic(_keep("fadd")))
"""Like ``keep_product``, with the sum."""
keep_difference = cast(Kernel, intrinsic(_keep("fsub")))
"""Like ``keep_product``, with the second value minus the first."""
keep_near = cast(Kernel, intrinsic(_keep_near))
"""``keep_near(points, o, stop, x, y, z, limit, near, n)``: find the points (columns of a (3, …) array of float64) from
``o`` on and before ``stop`` whose squared distance from (x, y, z) is below the limit. Write their columns to ``near``
from ``n`` on, and return their number."""
count_near = cast(Kernel, intrinsic(_count_near))
"""``count_near(points, o, stop, x, y, z, inner, outer)``: return the number of these points within each limit."""
count_kept = cast(Callable[[int], int], intrinsic(_count))
"""``count_kept(kept)``: return the number of kept pairs."""
lanes_of = cast(Kernel, intrinsic(_lanes))
"""``lanes_of(array)``: return the number of elements in a vector of the array's type."""


@inline
def aligned_rows(n_rows: int, n_columns: int, like: Floats) -> Floats:
    """Return an uninitialised array of the type of ``like`` whose rows start on vector boundaries, wider if necessary.

    A vector that crosses a boundary takes two accesses, and NumPy's arrays start anywhere. Rows are at least ``APART``
    bytes from each other and from any memory before them.
    """
    lanes = lanes_of(like)
    in_bytes = VECTOR_BYTES // lanes
    whole = max((n_columns + lanes - 1) // lanes * lanes, APART // in_bytes)
    flat = np.empty(n_rows * whole + lanes + APART // in_bytes, like.dtype)
    skipped = APART // in_bytes + -flat.ctypes.data % VECTOR_BYTES // in_bytes
    return flat[skipped : skipped + n_rows * whole].reshape(n_rows, whole)
