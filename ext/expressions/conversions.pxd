"""Conversions between types, and the parts of a date; see conversions.pyx."""

from ext.expressions.value cimport Value, Work

ctypedef Value (*Conversion)(Work* w, void* node, Value* a, int option) noexcept

cdef Conversion conversion_of(str name, int arguments, int* option)
cdef Value to_timestamp(Work* w, void* node, Value* a, int option) noexcept
