"""What processors have for bits and numba has no name for, in LLVM's language: the same on every processor."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Bits of a word.
WORD = np.uint64(64)


@intrinsic
def count_ones(_typing: Any, word: types.Type) -> Any:
    """How many bits of a uint64 are ones, int64."""

    def build(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: tuple[ir.Value, ...]) -> ir.Value:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


@intrinsic
def pick_bits(_typing: Any, rows: types.Array, first: types.Type, number: types.Type) -> Any:
    """Bit `number` of each of the WORD rows from `first` on, as a word: that of the first is the lowest.

    rows: [N] uint16, contiguous; first, number: uint64. That there are so many rows is not checked.
    """
    lanes = ir.VectorType(ir.IntType(16), int(WORD))

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: tuple[ir.Value, ...]) -> ir.Value:
        array, first, number = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        there = builder.bitcast(builder.gep(data, [first]), lanes.as_pointer())
        # Aligned as one row is, and not as all of them would be.
        values = builder.load(there, align=2)
        bit = builder.shl(ir.Constant(ir.IntType(16), 1), builder.trunc(number, ir.IntType(16)))
        undefined, zero = ir.Constant(lanes, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), int(WORD)), None)
        mask = builder.shuffle_vector(builder.insert_element(undefined, bit, zero), undefined, everywhere)
        ones = builder.icmp_unsigned("!=", builder.and_(values, mask), ir.Constant(lanes, None))
        return builder.bitcast(ones, ir.IntType(64))

    return types.uint64(rows, types.uint64, types.uint64), build
