"""Planned expressions: evaluate one over a view, as a condition or for its value, and say what was wrong.

How the parts fit: `engine.flow.cel.expression` has the text compiled and checked by Google's CEL compiler and makes a term
of it; `ext.expressions.node_group` builds nodes of the term, sharing equal conditions; `ext.expressions.evaluate` evaluates nodes over a `View`,
with the functions of `ext.expressions.functions` and `ext.expressions.conversions`, on the values of `ext.expressions.value`.

An error of data never raises from `test` or `run`: it is a fault, kept as a code and a few numbers, and becomes a
sentence when somebody reads `error`. What does raise is a fault of the engine's own, out of a fact the kernel answers.
"""

from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t, uint8_t

from engine.errors import TidemillError
from engine.limits import EXPRESSION_STEPS_MAX
from ext.expressions.error_text cimport sentence
from ext.maps.packed_map cimport Kept
from ext.expressions.node_group cimport group_of, labels_of, places_of
from ext.expressions.value cimport ERROR, NOTHING, Value, Work, enter, leave, to_json, to_python
from ext.expressions.view cimport View

globals()["View"] = View    # for Python to import from here too: a cimported name is none of Python's

cdef int64_t steps_max = EXPRESSION_STEPS_MAX


class EvaluationError(TidemillError):
    """An expression that was sound met data it could not work with; `line` and `column` count from 1 (0: not known)."""

    def __init__(self, detail: str, line: int = 0, column: int = 0) -> None:
        super().__init__("expression_error", detail)
        self.line = line
        self.column = column


cdef inline const uint8_t* map_of(Kept* kept) noexcept nogil:
    return NULL if kept is NULL else kept.map


cdef void prepare(Work* w, View view) noexcept:
    w.steps = steps_max
    w.generation = view.generation
    w.breached = NOTHING
    w.view = <void*>view
    w.raised = NULL
    w.roots[0] = view.kept_traits.map
    w.roots[1] = map_of(view.kept_properties)
    w.roots[2] = map_of(view.kept_variables)
    enter()


cdef class Plan:
    def __init__(self, str text, tuple term, list offsets):
        self.text = text
        self.offsets = offsets
        self.group = group_of(term)
        self.group.held(1)
        places_of(self.group, offsets)
        self.fault.code = NOTHING

    def __dealloc__(self):
        if self.group is not None:
            self.group.held(-1)

    cdef int run(self, View view) except -2:
        cdef Work w
        cdef int truth
        prepare(&w, view)
        truth = self.group.root.decide(self.group.root, &w)
        leave()
        if truth >= 0 and not w.breached:
            self.fault.code = NOTHING
            return truth
        self.fault = w.fault
        if w.breached:
            self.fault.code = w.breached
            raise_again(&w)
        return -1

    cpdef bint test(self, View view) except -1:
        """Whether the condition holds. An error is false (rule 20); `error` then says what it was."""
        return self.run(view) == 1

    def test_all(self, list views not None):
        """Count the views for which the condition holds: `test` in a compiled loop, as the kernel calls it."""
        cdef Py_ssize_t i, found = 0
        for i in range(len(views)):
            found += self.run(<View?>views[i]) == 1
        return found

    cpdef object value(self, View view):
        """Evaluate to a Python value. Raises EvaluationError."""
        return self.given(view, False)

    cpdef object json(self, View view):
        """Evaluate to a value that JSON can carry. Raises EvaluationError."""
        return self.given(view, True)

    cdef object given(self, View view, bint as_json):
        cdef Work w
        cdef Value v
        prepare(&w, view)
        v = self.group.root.run(self.group.root, &w)
        try:
            if v.kind != ERROR and not w.breached:
                self.fault.code = NOTHING
                return to_json(v) if as_json else to_python(v)
        finally:
            leave()
        self.fault = w.fault
        if w.breached:
            self.fault.code = w.breached
            raise_again(&w)
        raise EvaluationError(self.sentence(), *self.place())

    @property
    def error(self):
        """Error of the last `test` with its place, or None."""
        if self.fault.code == NOTHING:
            return None
        line, column = self.place()
        return f"{self.sentence()} (line {line}, column {column})" if line else self.sentence()

    cdef str sentence(self):
        return sentence(&self.fault, labels_of(self.group).get(<size_t>self.fault.node, ""))

    cdef tuple place(self):
        """Return line and column of the last error, from 1; (0, 0) if it belongs to no one place."""
        offset = places_of(self.group, self.offsets).get(<size_t>self.fault.node, -1)
        if offset < 0 or offset > len(self.text):
            return 0, 0
        before = self.text[:offset]
        return before.count("\n") + 1, offset - before.rfind("\n")

    def __repr__(self):
        return f"Plan({self.text!r})"


cdef int raise_again(Work* w) except -2:
    """Raise an exception of the engine's own, which was kept while the evaluation unwound."""
    cdef object error
    if w.raised is NULL:
        return 0
    error = <object>w.raised
    Py_DECREF(error)
    w.raised = NULL
    raise error
