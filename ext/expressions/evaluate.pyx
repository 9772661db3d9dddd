"""The functions that evaluate nodes: one for each kind of node, each calling those of its kids.

A tree of nodes with a function pointer each, after cel-go's planner. A bytecode with a switch was considered: the
tree needs no stack of operands and no jumps for `&&`, `||` and the macros, and a call through a pointer costs what a
dispatch does.

CEL's rule for errors is kept here by the macros, as `ext.expressions.truth` keeps it for `&&` and `||`.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t

from ext.expressions.conversions cimport to_timestamp
from ext.expressions.truth cimport decided_run
from ext.expressions.functions cimport select
from ext.wire.instant cimport MISSING
from ext.expressions.key_positions cimport locate
from ext.expressions.node cimport Node, Run
from ext.expressions.value cimport (
    BAD_KEY, BOOL, BUILT, DOUBLE, DUPLICATE_KEY, DURATION, ERROR, Fault, INT, LIST, MAP, NOTHING, NOT_A_BOOL, NOT_A_MAP,
    NO_EVENT, NO_FACTS, NO_SUCH_EVENT, NO_SUCH_KEY, NO_SUCH_OVERLOAD, NULL_, STRING, TIMESTAMP, UINT, UNDECLARED,
    WRONG_TYPE, Cursor, Value, Work, equal, fail, fail_kinds, fail_raised, fail_text, following, no_value,
    of_bool, of_built, of_double, of_int, of_slice, of_time, over, read, spend, take,
)
from ext.expressions.view cimport View
from ext.maps.trait_names cimport is_engine_trait, is_subscriptions

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* n) except NULL


# --- leaves ---

cdef Value constant_run(Node* n, Work* w) noexcept:
    return n.constant


cdef Value slot_run(Node* n, Work* w) noexcept:
    return w.slots[n.slot]


cdef Value path_run(Node* n, Work* w) noexcept:
    """Evaluate a key of a root map: a trait, a property, a variable."""
    cdef const uint8_t* p
    if n.found.generation == w.generation:
        p = n.found.at
    else:
        p = locate(n.found, w.generation, w.roots[n.root])
    if p is NULL:
        return missing(n, w)
    if n.declared:
        return declared(n, w, read(p))
    return read(p)


cdef Value missing(Node* n, Work* w) noexcept:
    if n.root == 1 and w.roots[1] is NULL:
        return fail(w, n, NO_EVENT)
    if n.root == 0 and is_subscriptions(n.constant.of.p, n.constant.n):
        return of_slice(MAP, NULL, 0)      # the engine's own: always there, at first empty
    return fail(w, n, UNDECLARED if n.root == 2 else NO_SUCH_KEY)


cdef Value declared(Node* n, Work* w, Value v) noexcept:
    """Convert a value to what the schema declares. JSON writes 70.0 as 70 and has no timestamps; anything else is an error."""
    cdef Value a[1]
    if v.kind == n.declared:
        return v
    if n.declared == DOUBLE and v.kind == INT:
        return of_double(<double>v.of.i)
    if n.declared == INT and v.kind == DOUBLE and -9.2e18 < v.of.d < 9.2e18 and <double><int64_t>v.of.d == v.of.d:
        return of_int(<int64_t>v.of.d)
    if n.declared == TIMESTAMP and v.kind == STRING:
        a[0] = v
        return to_timestamp(w, n, a, 0)
    return fail_kinds(w, n, WRONG_TYPE, 2, v.kind, n.declared)


cdef Value has_path_run(Node* n, Work* w) noexcept:
    cdef const uint8_t* p = n.found.at
    if n.found.generation != w.generation:
        p = locate(n.found, w.generation, w.roots[n.root])
    if p is NULL and n.root == 1 and w.roots[1] is NULL:
        return fail(w, n, NO_EVENT)
    return of_bool(p is not NULL)


cdef Value text_value(Node* n, Work* w, object text) noexcept:
    """Return a Python str as a value; it stays alive with the view."""
    cdef Py_ssize_t size = 0
    cdef const char* p
    if text is None:
        return fail(w, n, NO_EVENT)
    try:
        p = PyUnicode_AsUTF8AndSize(text, &size)
        return of_slice(STRING, <const uint8_t*>p, <uint32_t>size)
    except BaseException:
        return fail_raised(w, n)


cdef Value segments_run(Node* n, Work* w) noexcept:
    cdef tuple segments = (<View>w.view).segments or ()
    cdef Py_ssize_t i, count = len(segments)
    cdef Value* items = <Value*>take(w, count * sizeof(Value))
    if items is NULL or not spend(w, count >> 2):
        return no_value()
    for i in range(count):
        items[i] = text_value(n, w, segments[i])
    return of_built(LIST, items, <uint32_t>count)


cdef Value points_run(Node* n, Work* w) noexcept:
    return of_int((<View>w.view).points)


cdef inline Value of_ms(int64_t ms) noexcept:
    cdef int64_t seconds = ms // 1000
    cdef int64_t rest = ms % 1000
    if rest < 0:
        rest += 1000
        seconds -= 1
    return of_time(TIMESTAMP, seconds, <uint32_t>(rest * 1000000))


cdef Value now_run(Node* n, Work* w) noexcept:
    return of_ms((<View>w.view).now_ms)


cdef Value event_name_run(Node* n, Work* w) noexcept:
    return text_value(n, w, (<View>w.view).event_name)


cdef Value event_time_run(Node* n, Work* w) noexcept:
    if w.roots[1] is NULL:
        return fail(w, n, NO_EVENT)
    return of_ms((<View>w.view).event_ms)


cdef Value properties_run(Node* n, Work* w) noexcept:
    return fail(w, n, NO_EVENT) if w.roots[1] is NULL else read(w.roots[1])


cdef inline void put(Value* items, uint32_t* count, const char* key, uint32_t key_n, Value v) noexcept:
    items[count[0]] = of_slice(STRING, <const uint8_t*>key, key_n)
    items[count[0] + 1] = v
    count[0] += 2


cdef Value customer_run(Node* n, Work* w) noexcept:
    """Evaluate the whole contact as a map, where an expression takes it as one: traits, segments, points, subscriptions."""
    cdef Value traits = read(w.roots[0])
    cdef Value* items = <Value*>take(w, (<size_t>traits.n + 3) * 2 * sizeof(Value))
    cdef Cursor c
    cdef Value key, v
    cdef uint32_t count = 0
    cdef bint subscriptions = False
    if items is NULL or not spend(w, traits.n):
        return no_value()
    c = over(traits)
    while c.left:
        key = following(&c)
        v = following(&c)
        if not is_engine_trait(key.of.p, key.n):
            items[count] = key
            items[count + 1] = v
            count += 2
            subscriptions |= is_subscriptions(key.of.p, key.n)
    if not subscriptions:
        put(items, &count, b"subscriptions", 13, of_slice(MAP, NULL, 0))
    put(items, &count, b"points", 6, points_run(n, w))
    v = segments_run(n, w)
    if v.kind == ERROR:
        return v
    put(items, &count, b"segments", 8, v)
    return of_built(MAP, items, count >> 1)


cdef Value event_run(Node* n, Work* w) noexcept:
    """Evaluate the whole event as a map: name, timestamp, properties."""
    cdef Value* items = <Value*>take(w, 6 * sizeof(Value))
    cdef uint32_t count = 0
    cdef Value name
    if items is NULL:
        return no_value()
    if w.roots[1] is NULL:
        return fail(w, n, NO_EVENT)
    name = event_name_run(n, w)
    if name.kind == ERROR:
        return name
    put(items, &count, b"name", 4, name)
    put(items, &count, b"timestamp", 9, event_time_run(n, w))
    put(items, &count, b"properties", 10, read(w.roots[1]))
    return of_built(MAP, items, 3)


# --- calls ---

cdef Value select_run(Node* n, Work* w) noexcept:
    """Evaluate `a.key`, and `has(a.key)` if `option` is set."""
    cdef Value box = n.kids[0].run(n.kids[0], w)
    return box if box.kind == ERROR else select(w, n, box, n.constant, n.option)


cdef Value call1_run(Node* n, Work* w) noexcept:
    cdef Value a[1]
    a[0] = n.kids[0].run(n.kids[0], w)
    return a[0] if a[0].kind == ERROR else n.function(w, n, a, n.option)


cdef Value call2_run(Node* n, Work* w) noexcept:
    cdef Value a[2]
    a[0] = n.kids[0].run(n.kids[0], w)
    if a[0].kind == ERROR:
        return a[0]
    a[1] = n.kids[1].run(n.kids[1], w)
    return a[1] if a[1].kind == ERROR else n.function(w, n, a, n.option)


cdef Value compare_run(Node* n, Work* w) noexcept:
    """Evaluate `<`, `<=`, `>`, `>=` (`option` 0 to 3): two numbers, which most conditions compare, without a call."""
    cdef Value a[2]
    cdef double x, y
    a[0] = n.kids[0].run(n.kids[0], w)
    if a[0].kind == ERROR:
        return a[0]
    a[1] = n.kids[1].run(n.kids[1], w)
    if a[0].kind == INT and a[1].kind == INT:
        if n.option < 2:
            return of_bool(a[0].of.i < a[1].of.i or (n.option == 1 and a[0].of.i == a[1].of.i))
        return of_bool(a[0].of.i > a[1].of.i or (n.option == 3 and a[0].of.i == a[1].of.i))
    if a[0].kind == DOUBLE and (a[1].kind == DOUBLE or a[1].kind == INT):
        x = a[0].of.d
        y = a[1].of.d if a[1].kind == DOUBLE else <double>a[1].of.i
        if n.option < 2:
            return of_bool(x < y or (n.option == 1 and x == y))
        return of_bool(x > y or (n.option == 3 and x == y))
    return a[1] if a[1].kind == ERROR else n.function(w, n, a, n.option)


cdef Value list_run(Node* n, Work* w) noexcept:
    cdef Value* items = <Value*>take(w, n.n * sizeof(Value))
    cdef uint32_t i
    if items is NULL:
        return no_value()
    for i in range(n.n):
        items[i] = n.kids[i].run(n.kids[i], w)
        if items[i].kind == ERROR:
            return items[i]
    return of_built(LIST, items, n.n)


cdef Value map_run(Node* n, Work* w) noexcept:
    cdef Value* items = <Value*>take(w, n.n * sizeof(Value))
    cdef uint32_t i, j
    if items is NULL:
        return no_value()
    for i in range(n.n):
        items[i] = n.kids[i].run(n.kids[i], w)
        if items[i].kind == ERROR:
            return items[i]
        if i & 1:
            continue
        if items[i].kind != STRING and items[i].kind != INT and items[i].kind != UINT and items[i].kind != BOOL:
            return fail_kinds(w, n, BAD_KEY, 1, items[i].kind, 0)
        if not spend(w, i >> 2):
            return no_value()
        for j in range(0, i, 2):
            if equal(w, items[i], items[j]) == 1:
                return fail(w, n, DUPLICATE_KEY)
    return of_built(MAP, items, n.n >> 1)


# --- logic ---

cdef Value not_run(Node* n, Work* w) noexcept:
    cdef Value v = n.kids[0].run(n.kids[0], w)
    if v.kind == BOOL:
        return of_bool(not v.of.i)
    return v if v.kind == ERROR else fail_kinds(w, n, NO_SUCH_OVERLOAD, 1, v.kind, 0)


cdef Value choice_run(Node* n, Work* w) noexcept:
    """Evaluate `condition ? a : b`."""
    cdef Value v = n.kids[0].run(n.kids[0], w)
    cdef Node* kid
    if v.kind != BOOL:
        return v if v.kind == ERROR else fail_kinds(w, n, NOT_A_BOOL, 1, v.kind, 0)
    kid = n.kids[1] if v.of.i else n.kids[2]
    return kid.run(kid, w)


# --- macros: kids are the range, the condition, and for `map` what is made of an element ---

cdef inline bint ranged(Node* n, Work* w, Cursor* c, Value* box) noexcept:
    """Begin a loop; False and the fault set where the range is none."""
    box[0] = n.kids[0].run(n.kids[0], w)
    if box.kind == LIST or box.kind == MAP:
        c[0] = over(box[0])
        return True
    if box.kind != ERROR:
        fail_kinds(w, n, NO_SUCH_OVERLOAD, 1, box.kind, 0)
    return False


cdef inline Value next_of(Cursor* c, uint8_t kind) noexcept:
    """Return the next element of a list, or the next key of a map."""
    cdef Value v = following(c)
    if kind == MAP:
        following(c)
    return v


cdef Value quantified_run(Node* n, Work* w) noexcept:
    """Evaluate `all` (`option` 0) and `exists` (1); an error counts only if no element decides."""
    cdef Cursor c
    cdef Value box, v
    cdef Fault kept
    cdef bint failed = False
    if not ranged(n, w, &c, &box):
        return no_value()
    while c.left:
        w.slots[n.slot] = next_of(&c, box.kind)
        if not spend(w, 1):
            return no_value()
        v = n.kids[1].run(n.kids[1], w)
        if v.kind == BOOL:
            if v.of.i == n.option:
                return v
            continue
        if v.kind != ERROR and not failed:
            fail_kinds(w, n, NOT_A_BOOL, 1, v.kind, 0)
        if w.breached:
            return no_value()
        if not failed:
            kept = w.fault
            failed = True
    if failed:
        w.fault = kept
        return no_value()
    return of_bool(not n.option)


cdef inline int chosen(Node* n, Work* w) noexcept:
    """Decide the condition of a loop on the present element: 1, 0, -1 for an error."""
    cdef Value v
    if not spend(w, 1):
        return -1
    v = n.kids[1].run(n.kids[1], w)
    if v.kind == BOOL:
        return v.of.i != 0
    if v.kind != ERROR:
        fail_kinds(w, n, NOT_A_BOOL, 1, v.kind, 0)
    return -1


cdef Value exists_one_run(Node* n, Work* w) noexcept:
    cdef Cursor c
    cdef Value box
    cdef int64_t count = 0
    cdef int r
    if not ranged(n, w, &c, &box):
        return no_value()
    while c.left:
        w.slots[n.slot] = next_of(&c, box.kind)
        r = chosen(n, w)
        if r < 0:
            return no_value()
        count += r
    return of_bool(count == 1)


cdef Value gathered_run(Node* n, Work* w) noexcept:
    """Evaluate `filter` (two kids) and `map` (three)."""
    cdef Cursor c
    cdef Value box, v
    cdef Value* items
    cdef uint32_t count = 0
    cdef int r
    if not ranged(n, w, &c, &box):
        return no_value()
    items = <Value*>take(w, box.n * sizeof(Value))
    if items is NULL:
        return no_value()
    while c.left:
        v = next_of(&c, box.kind)
        w.slots[n.slot] = v
        r = chosen(n, w)
        if r < 0:
            return no_value()
        if not r:
            continue
        if n.n > 2:
            v = n.kids[2].run(n.kids[2], w)
            if v.kind == ERROR:
                return v
        items[count] = v
        count += 1
    return of_built(LIST, items, count)


# --- facts: what the view is asked for ---

cdef object text_of(Node* n, uint32_t i, Value v):
    """Return the str of a kid's string; a literal's was made at planning."""
    if n.kids[i].name is not NULL:
        return <object>n.kids[i].name
    return PyUnicode_DecodeUTF8(<const char*>v.of.p, v.n, "replace")


cdef Value fact_run(Node* n, Work* w) noexcept:
    """Evaluate a fact. `option`: 0 count, 1 last, 2 sum, 3 in_segment, 4 available. Kids: a name; for `sum` the property; a duration."""
    cdef Value a[3]
    cdef uint32_t i, texts = 2 if n.option == 2 else 1
    for i in range(n.n):
        a[i] = n.kids[i].run(n.kids[i], w)
        if a[i].kind == ERROR:
            return a[i]
        if a[i].kind != (STRING if i < texts else DURATION):
            return fail_kinds(w, n, NO_SUCH_OVERLOAD, 1, a[i].kind, 0)
    if n.option != 3 and not (<View>w.view).has_facts():
        return fail(w, n, NO_FACTS)
    try:
        return asked(n, w, a, (<View>w.view).now_ms, n.n > texts)
    except BaseException:
        return fail_raised(w, n)


cdef Value asked(Node* n, Work* w, Value* a, int64_t now_ms, bint limited) except *:
    cdef View view = <View>w.view
    cdef object name = text_of(n, 0, a[0])
    cdef int64_t since = MISSING, ms
    cdef double total
    if n.option == 3:
        return of_bool(view.segments is not None and name in view.segments)
    if n.option == 1:
        ms = view.last(name)
        return fail_text(w, n, NO_SUCH_EVENT, a[0].of.p, a[0].n) if ms == MISSING else of_ms(ms)
    if n.option == 4:
        return of_int(view.available(name))
    if limited:
        ms = a[n.n - 1].of.i * 1000 + a[n.n - 1].n // 1000000
        since = now_ms - ms
    if n.option == 0:
        return of_int(view.count(name, since, now_ms))
    total = view.sum(name, text_of(n, 1, a[1]), since, now_ms)
    return of_double(total)


# --- by name ---

cdef Run run_of(str op):
    """Return the function of a kind of node, NULL if there is none."""
    if op == "constant":
        return constant_run
    if op == "slot":
        return slot_run
    if op == "path":
        return path_run
    if op == "has_path":
        return has_path_run
    if op == "segments":
        return segments_run
    if op == "points":
        return points_run
    if op == "now":
        return now_run
    if op == "event_name":
        return event_name_run
    if op == "event_time":
        return event_time_run
    if op == "properties":
        return properties_run
    if op == "customer":
        return customer_run
    if op == "event":
        return event_run
    return run_of_inner(op)


cdef Run run_of_inner(str op):
    if op == "select" or op == "has":
        return select_run
    if op == "call1":
        return call1_run
    if op == "call2":
        return call2_run
    if op == "compare":
        return compare_run
    if op == "list":
        return list_run
    if op == "map":
        return map_run
    if op == "not":
        return not_run
    if op == "choice":
        return choice_run
    if op == "and" or op == "or":
        return decided_run()
    if op == "all" or op == "exists":
        return quantified_run
    if op == "exists_one":
        return exists_one_run
    if op == "filter" or op == "transform":
        return gathered_run
    if op == "fact":
        return fact_run
    return NULL
