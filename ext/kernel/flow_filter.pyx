"""The filter of the flows that an event may launch, for event names with many flows.

A thousand flows speak of few things: the same city, the same totals. Where the `where` of a flow is a conjunction, a
clause of it that is not true rules the flow out (CEL's `&&` with a false or erroneous clause is never true). So each
distinct clause is evaluated once, and takes out of a set of flows, a bit each, those that need it. What is left is
tried in order of id, by its whole `where`: this only ever rules out, it lets nobody in.

Clauses that most flows need come first, and one that no flow left needs is not evaluated. So an event costs the number
of distinct clauses, and for each of them a few words of bits.

Rejected: one clause of each flow as its access, with a list of flows behind it, which tries half of all flows wherever
half of the clauses are true; and counting true clauses for each flow, which touches every flow.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from ext.expressions.truth cimport junction
from ext.kernel.flow cimport FlowCore
from ext.expressions.node cimport Node
from ext.expressions.plan cimport Plan, prepare, raise_again
from ext.expressions.value cimport Work, leave
from ext.expressions.view cimport View


cdef extern from *:
    int lowest_bit "__builtin_ctzll" (uint64_t bits) noexcept


@cython.final
cdef class Matcher:
    """Made for flows in order of id. `rule_out` looks at a view; `following` then gives the flows that are left."""

    def __init__(self, tuple flows not None):
        cdef FlowCore flow
        cdef Node* root
        cdef uint32_t i
        cdef dict needed = {}
        self.flows = flows
        self.kept = []
        self.words = (len(flows) + 63) // 64
        self.left = <uint64_t*>calloc(self.words + 1, sizeof(uint64_t))
        if self.left is NULL:
            raise MemoryError
        for number, flow in enumerate(flows):
            if flow.where is None:
                continue
            self.kept.append(flow.where)
            root = flow.where.group.root
            if root.own != junction or root.option != 0:
                needed.setdefault(<size_t>root, []).append(number)
                continue
            for i in range(root.n):
                needed.setdefault(<size_t>root.kids[i], []).append(number)
        for node, numbers in sorted(needed.items(), key=_fewest_last):
            self.add(<Node*><size_t>node, numbers)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.clause_count):
            free(self.clauses[i].flows)
        free(self.clauses)
        free(self.left)

    def __len__(self):
        return self.clause_count

    cdef int add(self, Node* node, list flows) except -1:
        """Add a clause and the numbers of the flows that need it, in order."""
        cdef void* more = realloc(self.clauses, (self.clause_count + 1) * sizeof(Clause))
        cdef Clause* clause
        cdef uint32_t number
        if more is NULL:
            raise MemoryError
        self.clauses = <Clause*>more
        clause = &self.clauses[self.clause_count]
        clause.node = node
        clause.first = flows[0] // 64
        clause.words = flows[len(flows) - 1] // 64 - clause.first + 1
        clause.flows = <uint64_t*>calloc(clause.words, sizeof(uint64_t))
        if clause.flows is NULL:
            raise MemoryError
        self.clause_count += 1
        for number in flows:
            clause.flows[number // 64 - clause.first] |= <uint64_t>1 << (number % 64)
        return 0

    cdef int rule_out(self, View view, Py_ssize_t begin) except -1:
        """Evaluate the clauses, and keep the flows from `begin` on of which no clause is false."""
        cdef Work w
        cdef Clause* clause
        cdef uint64_t* left
        cdef uint64_t common
        cdef uint32_t k
        cdef Py_ssize_t i, count = len(self.flows)
        cdef int truth
        memset(self.left, 0xff, self.words * sizeof(uint64_t))
        memset(self.left, 0, begin // 64 * sizeof(uint64_t))
        if begin < count:
            self.left[begin // 64] &= ~<uint64_t>0 << (begin % 64)
        if count % 64:
            self.left[count // 64] &= ~(~<uint64_t>0 << (count % 64))
        for i in range(self.clause_count):
            clause = &self.clauses[i]
            left = self.left + clause.first
            common = 0
            for k in range(clause.words):
                common |= left[k] & clause.flows[k]
            if common == 0:
                continue
            prepare(&w, view)
            truth = clause.node.decide(clause.node, &w)
            leave()
            if w.breached:
                raise_again(&w)
            elif truth == 1:
                continue
            for k in range(clause.words):
                left[k] &= ~clause.flows[k]
        return 0

    cdef Py_ssize_t following(self, Py_ssize_t begin) noexcept:
        """Return the first flow left from `begin` on, -1 if there is none."""
        cdef Py_ssize_t word = begin // 64
        cdef uint64_t bits
        if word >= self.words:
            return -1
        bits = self.left[word] & (~<uint64_t>0 << (begin % 64))
        while bits == 0:
            word += 1
            if word >= self.words:
                return -1
            bits = self.left[word]
        return word * 64 + lowest_bit(bits)


def _fewest_last(entry):
    """Return a clause's key in the order: most flows first, then the clause met first."""
    return -len(entry[1])
