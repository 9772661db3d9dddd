"""Builds the nodes of a plan, and shares conditions between the plans that contain them.

A plan arrives as a term (`engine.flow.cel.planner.Term`): nested tuples `(op, data, kids, shared)` without places in
the text. So equal conditions are equal tuples, wherever they were written. A term marked `shared` gives true or false
and depends on no variable of a comprehension. It becomes a group of its own, kept in one table while a plan holds it.

A group that several plans hold remembers its result in each generation. A group held once runs without that memory,
so sharing costs nothing where nothing is shared.

Places are looked up only for an error: by the address of the node that failed.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

import cython
import struct
import weakref

from ext.expressions.node cimport Decide, Memo, Node, Run
from ext.expressions.truth cimport decide_of, decided_run, memo_decide
from ext.expressions.evaluate cimport run_of
from ext.expressions.functions cimport function_of
from ext.expressions.key_positions cimport ReadKey, key_of
from ext.expressions.comparisons cimport shortcut_of
from ext.expressions.value cimport (
    BOOL, BYTES, DOUBLE, INT, LIST, MAP, NULL_, STRING, TYPE, UINT, Value, of_bool, of_built, of_double, of_int, of_slice,
    of_time, of_uint,
)

cdef object groups = weakref.WeakValueDictionary()


cdef str run_name(str op, tuple data, int kids):
    """Return the name by which `ext.expressions.evaluate` knows the function of a node."""
    if op != "call":
        return op
    return "compare" if data[0] in ("_<_", "_<=_", "_>_", "_>=_") else f"call{kids}"


@cython.no_gc_clear
cdef class NodeGroup:
    def __cinit__(self):
        self.kept = []
        self.children = []
        self.labels = {}

    def __dealloc__(self):
        cdef size_t i
        for child in self.children:
            (<NodeGroup>child).held(-1)
        for i in range(self.count):
            free(self.nodes[i].kids)
            free(self.nodes[i].items)
            free(self.nodes[i].texts)
            free(self.nodes[i].memo)
            free(self.nodes[i])
        free(self.nodes)

    cdef void held(self, int change) noexcept:
        """Count one holder more, or one fewer."""
        self.holders += change
        if self.root.memo is not NULL:
            self.root.decide = memo_decide() if self.holders > 1 else self.root.own

    cdef Node* make(self, Run run, tuple term) except NULL:
        """Make a node with room for its kids, owned by this group."""
        cdef Node* node = <Node*>calloc(1, sizeof(Node))
        cdef void* nodes = realloc(self.nodes, (self.count + 1) * sizeof(Node*))
        if nodes is not NULL:
            self.nodes = <Node**>nodes
        if node is NULL or nodes is NULL:
            free(node)
            raise MemoryError
        self.nodes[self.count] = node
        self.count += 1
        node.run = node.plain = run
        node.decide = node.own = decide_of(term[0])
        node.n = <uint32_t>len(term[2])
        node.kids = <Node**>calloc(node.n + 1, sizeof(Node*))
        if node.kids is NULL:
            raise MemoryError
        return node

    cdef Node* build(self, tuple term) except NULL:
        """Build the node of a term, with all below it."""
        cdef str op = term[0]
        cdef tuple kids = term[2]
        cdef Node* node
        cdef uint32_t i
        cdef Run run = run_of(run_name(op, term[1], len(kids)))
        if run is NULL:
            raise AssertionError(f"no node evaluates {op} of {len(kids)}")
        node = self.make(run, term)
        for i in range(node.n):
            node.kids[i] = self.kid(kids[i])
        self.fill(node, op, term[1])
        if op == "list":
            self.fold(node)
        self.shorten(node, op, term[1])
        return node

    cdef Node* kid(self, tuple term) except NULL:
        cdef NodeGroup group
        if not term[3]:
            return self.build(term)
        group = group_of(term)
        self.children.append(group)
        group.held(1)
        return group.root

    cdef int fill(self, Node* node, str op, tuple data) except -1:
        """Fill in what a kind of node has beside its kids."""
        cdef int option = 0
        if op == "constant":
            node.constant = self.literal(data[0], data[1])
            if data[0] == STRING:
                self.kept.append(data[1])
                node.name = <void*>data[1]
        elif op == "path" or op == "has_path":
            node.root = data[0]
            node.constant = self.literal(STRING, data[1])
            node.declared = data[2]
            key = key_of(data[0], data[1])
            self.kept.append(key)
            node.found = &(<ReadKey>key).found
        elif op == "select" or op == "has":
            node.constant = self.literal(STRING, data[0])
            node.option = op == "has"
        elif op == "call":
            node.function = function_of(data[0], node.n, &option)
            node.option = option
            if node.function is NULL:
                raise AssertionError(f"no function {data[0]} of {node.n}")
        elif op == "or" or op == "exists":
            node.option = 1
        elif op == "fact":
            node.option = data[1]
        if op in ("slot", "all", "exists", "exists_one", "filter", "transform"):
            node.slot = data[0]
        if op in ("path", "has_path"):
            self.labels[<size_t>node] = data[1]
        elif op in ("select", "has", "call", "fact"):
            self.labels[<size_t>node] = data[0]
        else:
            self.labels[<size_t>node] = "!" if op == "not" else op
        return 0

    cdef Value literal(self, int kind, object value) except *:
        """Return a constant; texts stay alive with the group."""
        if kind == NULL_ or kind == TYPE:
            return of_time(kind, value or 0, 0)
        if kind == BOOL:
            return of_bool(value)
        if kind == INT:
            return of_int(value)
        if kind == UINT:
            return of_uint(value)
        if kind == DOUBLE:
            return of_double(struct.unpack("<d", value)[0])
        packed = value.encode() if kind == STRING else value
        self.kept.append(packed)
        return of_slice(kind, <const uint8_t*>PyBytes_AS_STRING(packed), <uint32_t>len(packed))

    cdef int fold(self, Node* node) except -1:
        """Make a literal of a list of literals. (A map of literals may still be in error: two equal keys.)"""
        cdef uint32_t i
        cdef Run constant = run_of("constant")
        for i in range(node.n):
            if node.kids[i].plain != constant:
                return 0
        node.items = <Value*>malloc((node.n + 1) * sizeof(Value))
        if node.items is NULL:
            raise MemoryError
        for i in range(node.n):
            node.items[i] = node.kids[i].constant
        node.constant = of_built(LIST, node.items, node.n)
        node.run = node.plain = constant
        return 0

    cdef int shorten(self, Node* node, str op, tuple data) except -1:
        """Use one step for a node that compares a key with a constant."""
        cdef Decide found
        if op == "call":
            found = shortcut_of(data[0], node, run_of("path"), run_of("constant"))
            if found is not NULL:
                node.decide = node.own = found
        return 0


cdef NodeGroup group_of(tuple term):
    """Return the group of a term; for a shared one the group that exists already."""
    cdef NodeGroup group
    if term[3]:
        found = groups.get(term)
        if found is not None:
            return found
    group = NodeGroup()
    group.root = group.build(term)
    if term[3]:
        group.root.memo = <Memo*>calloc(1, sizeof(Memo))
        if group.root.memo is NULL:
            raise MemoryError
        group.root.run = decided_run()
        groups[term] = group
    return group


def shared_groups() -> int:
    """Count the conditions in the table of shared ones, for tests."""
    return len(groups)


cdef dict labels_of(NodeGroup group):
    """Return the names of nodes by address, for errors: a key, a function."""
    labels = dict(group.labels)
    for child in group.children:
        labels.update(labels_of(child))
    return labels


cdef int walk(Node* node, list offsets, list at, dict places) except -1:
    cdef uint32_t i
    places.setdefault(<size_t>node, offsets[at[0]])
    at[0] += 1
    for i in range(node.n):
        walk(node.kids[i], offsets, at, places)
    return 0


cdef dict places_of(NodeGroup group, list offsets):
    """Return the code points of nodes in the text by address. `offsets`: of the term's nodes from the root down."""
    places = {}
    at = [0]
    walk(group.root, offsets, at, places)
    assert at[0] == len(offsets), "one offset for each node"
    return places
