"""Nodes of a planned expression: small structs, each with the function that evaluates it.

`ext.expressions.node_group` builds them; `evaluate`, `truth` and `comparisons` are their functions.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.expressions.functions cimport Function
from ext.expressions.key_positions cimport KeyPosition
from ext.expressions.value cimport Fault, Value, Work

ctypedef Value (*Run)(Node* n, Work* w) noexcept
ctypedef int (*Decide)(Node* n, Work* w) noexcept     # 1, 0; -1: an error

# The result of a sub-expression that several plans share.
cdef struct Memo:
    uint64_t generation
    int64_t steps         # what it cost, spent again at every use: a bound must not depend on who shares
    int truth
    Fault fault

cdef extern from *:
    """
    typedef struct { uint64_t n, head, tail; } tm_text;
    """
    # A string of up to 16 bytes: its length, its first bytes and its last, which overlap or meet.
    ctypedef struct ShortText "tm_text":
        uint64_t n
        uint64_t head
        uint64_t tail

cdef struct Node:
    Decide decide         # `own`, or what remembers while more than one holder shares the node
    Run run               # `plain`, or what asks `decide` where the node is shared
    KeyPosition* found
    Value constant        # a literal, or the key
    uint8_t root          # 0 traits, 1 properties, 2 variables
    uint8_t declared      # Kind the schema declares, 0 for none
    uint8_t mask          # of a shortcut: the outcomes for which it is true
    bint negated          # … or false
    Node** kids
    uint32_t n            # kids
    uint32_t slot         # of a comprehension's variable
    int option            # of the function, or which of several the node is
    ShortText* texts           # owned, of a shortcut: the constants
    uint32_t text_count
    Decide own
    Run plain
    Value* items          # owned: elements of a literal list or map
    Function function
    Memo* memo
    void* name            # borrowed str: a literal first argument of a fact
