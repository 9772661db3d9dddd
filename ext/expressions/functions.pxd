"""The operators and functions of expressions over values; see functions.pyx."""

from libc.stdint cimport uint8_t

from ext.expressions.value cimport Value, Work

# `a` holds the arguments, the receiver first; `option` tells apart what shares a body.
ctypedef Value (*Function)(Work* w, void* node, Value* a, int option) noexcept

cdef Function function_of(str name, int arguments, int* option)
cdef Value index(Work* w, void* node, Value* a, int option) noexcept
cdef Value select(Work* w, void* node, Value box, Value key, bint test) noexcept
