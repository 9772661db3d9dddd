"""A hierarchical timing wheel with a resolution of one millisecond.

Prior art: Varghese and Lauck (1987); the wheels of tokio and Kafka. Like tokio's, this one never ticks:
a bitmap per level says which slots hold anything, so an idle hour costs as much as an idle millisecond.

Where a timer is
----------------
Read the due time as digits of 6 bits, the lowest first: 11 digits, 11 levels of 64 slots. A timer lies at
the level of the *highest digit in which its due differs from the wheel's own time* (`elapsed`), in the slot
named by that digit. With elapsed = 1·64 + 10 (digits … 0 1 10), that is 74:

    due   digits (2 1 0)  highest that differs   level, slot
     75       0  1 11             0                0, 11      a slot of level 0 is one millisecond
    127       0  1 63             0                0, 63
    130       0  2  2             1                1, 2       of level 1 it is 64 ms: 128 to 191
    170       0  2 42             1                1, 2
   5000       1 14  8             2                2, 1       of level 2 it is 4.1 s: 4096 to 8191

Two things follow. Everything at a level is due before everything at the level above it, because it shares
the digits above with `elapsed`. And within a level slots with a higher number are later. So the earliest
timers are in the lowest occupied slot of the lowest occupied level: two bit scans.

Turning it
----------
`expire(now)` looks at that slot. If it begins after `now`, nothing is due and `elapsed` becomes `now`: no
other timer has to move, since the digit that placed it is still the highest in which it differs. Otherwise

- at level 0 the slot is *gathered*: all its timers are due at that millisecond. They are sorted by key once
  (nothing to do where they came in order of key) and become the *run*, the list from which timers are given
  out, so a million of one millisecond leave in slices that cost what the slice costs;
- at a higher level it *cascades*: `elapsed` becomes the smallest due in it (or `now`, if that is sooner) and
  its timers are placed anew, each at a lower level, as `elapsed` now shares one more digit with them.

In the example, `expire(200, 3)` gathers (0, 11) → 75 is out; gathers (0, 63) → 127 is out; sets elapsed to
130, cascades (1, 2): 130 goes to (0, 2), 170 to (0, 42); gathers (0, 2) → 130 is out: three, enough. 170
stays where it is, elapsed lags behind at 130, and the next call goes on there. A timer cascades at most ten
times in its life, in practice two or three times: O(1).

A timer inserted with `due <= elapsed` has no slot. Such *late* ones (an instant already past, a wheel rebuilt
from state) go to a binary heap by (due, key). They are due before everything in a slot and no later than the
run, so the next to go is the smaller of heap and run; slots are touched only when both are empty.

Memory
------
Timers are 32 bytes, in one array that grows by a sixteenth (the C library moves large blocks by remapping
pages), linked into lists by 32-bit index: at most 34 bytes each, 39 for a late one; sorting a run borrows 32
bytes a timer and gives them back. A handle is the index with the generation of the place, which changes when
the timer leaves it, so an old handle cancels nothing.

A timer that nobody touched lately is a miss of the cache, and so are its neighbours in the list: cancelled by itself it
costs two latencies of memory. `cancel_soon` puts it off until LEAVING have come, or anything is asked of the wheel: its
memory is fetched meanwhile, and then that of the neighbours of all.

Each slot remembers the smallest due in it, which makes `next_due` exact without a cascade. Cancelling the
timer that is the smallest of its slot makes that a lower bound; the next question that needs it then walks
the slot. The heap and the sort are in wheel_heap.pxd and wheel_sort.pxd.

Rejected: a binary heap or a sorted tree for all (O(log n), and a cache miss per level at 10 million), a
slot kept sorted (O(n) inserts), moving `elapsed` ahead of the clock to find the next due (timers inserted
afterwards would all be late), levels of 256 slots (a third fewer cascades; measured, and not faster).
"""

cimport cython
from libc.stdint cimport INT64_MAX, UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from ext.structures.memory cimport extended, free_array
from ext.structures.hash_table cimport prefetch_line
from ext.structures.wheel_heap cimport before, heap_push, heap_remove
from ext.structures.wheel_sort cimport FEW, ordered, sort_few, sort_many

cdef extern from *:
    int clzll "__builtin_clzll" (unsigned long long) noexcept nogil
    int ctzll "__builtin_ctzll" (unsigned long long) noexcept nogil

cdef enum:
    LATE = 0x1000
    FREE = 0x1001
    CHUNK = 256  # timers given out at once by the Python method

cdef uint32_t NIL = UINT32_MAX
cdef uint64_t SIGN = <uint64_t>1 << 63


@cython.final
cdef class Wheel:
    def __cinit__(self, int64_t now_ms=0):
        self._elapsed = ordered(now_ms)
        self._free = NIL
        memset(self._heads, 0xFF, sizeof(self._heads))

    def __dealloc__(self):
        free_array(self._timers, self._room * sizeof(Timer))
        free(self._late.places)

    def __len__(self):
        self._settle()
        return self._live

    cpdef uint64_t insert(self, int64_t due_ms, int64_t key) except 0:
        cdef bint late = ordered(due_ms) <= self._elapsed
        cdef bint fresh = self._free == NIL
        cdef uint32_t at
        cdef Timer* timer
        if fresh and self._used == self._room:
            self._grow()
        if late and self._late.length == self._late.room:
            self._grow_late()
        at = self._used if fresh else self._free
        timer = &self._timers[at]
        timer.due = due_ms
        timer.key = key
        if fresh:
            timer.generation = 1
            self._used += 1
        else:
            self._free = timer.next
        if late:
            timer.where = LATE
            heap_push(&self._late, self._timers, at)
        else:
            self._place(at)
        self._live += 1
        return <uint64_t>timer.generation << 32 | at

    cpdef bint cancel(self, uint64_t handle) except -1:
        self._settle()
        return self._cancel(handle)

    cdef bint _cancel(self, uint64_t handle) noexcept:
        cdef uint32_t at = <uint32_t>handle
        cdef Timer* timer
        if at >= self._used:
            return False
        timer = &self._timers[at]
        if timer.generation != <uint32_t>(handle >> 32) or timer.where == FREE:
            return False
        if timer.where == LATE:
            heap_remove(&self._late, self._timers, timer.prev)
        else:
            self._unlink(at)
        self._release(at)
        return True

    cpdef int cancel_soon(self, uint64_t handle) except -1:
        if self._leaving == LEAVING:
            self._settle()
        if <uint32_t>handle < self._used:
            prefetch_line(&self._timers[<uint32_t>handle])
        self._handles[self._leaving] = handle
        self._leaving += 1
        return 0

    cdef int _settle(self) except -1:
        """Cancel those that are to be cancelled soon."""
        cdef int leaving = self._leaving
        cdef int found = 0
        cdef int i
        for i in range(leaving):
            self._prefetch_neighbours(self._handles[i])
        for i in range(leaving):
            found += self._cancel(self._handles[i])
        self._leaving = 0
        assert found == leaving, "a timer to be cancelled was not in the wheel"
        return 0

    cdef void _prefetch_neighbours(self, uint64_t handle) noexcept:
        """Prefetch the timers before and behind one: they change as it goes."""
        cdef Timer* timer
        if <uint32_t>handle >= self._used:
            return
        timer = &self._timers[<uint32_t>handle]
        if timer.where < LATE:
            prefetch_line(&self._timers[timer.prev if timer.prev < self._used else 0])
            prefetch_line(&self._timers[timer.next if timer.next < self._used else 0])

    cpdef list expire(self, int64_t now_ms, Py_ssize_t limit):
        cdef int64_t[CHUNK] dues
        cdef int64_t[CHUNK] keys
        cdef list out = []
        cdef int wanted, got, n
        while limit > 0:
            wanted = <int>min(limit, CHUNK)
            got = self.expire_into(now_ms, wanted, dues, keys)
            for n in range(got):
                out.append((dues[n], keys[n]))
            if got < wanted:
                break
            limit -= got
        return out

    cdef int expire_into(self, int64_t now_ms, int limit, int64_t* dues, int64_t* keys) except -1:
        """Expire timers into two arrays of at least `limit` places; return how many."""
        cdef int out = 0
        cdef uint32_t at
        self._settle()
        while out < limit:
            at = self._heads[RUN]
            if self._late.length and (at == NIL or before(self._timers, self._late.places[0], at)):
                at = self._late.places[0]
            if at == NIL:
                if not self._turn(now_ms):
                    break
                continue
            if self._timers[at].due > now_ms:
                break
            dues[out] = self._timers[at].due
            keys[out] = self._timers[at].key
            out += 1
            if self._timers[at].where == LATE:
                heap_remove(&self._late, self._timers, 0)
            else:
                self._unlink(at)
            self._release(at)
        return out

    def next_due(self):
        cdef int64_t due = 0
        return due if self.peek(&due) else None

    cdef bint peek(self, int64_t* due_ms) except -1:
        """Find the smallest due. Return False if there is no timer."""
        self._settle()
        if self._late.length:
            due_ms[0] = self._timers[self._late.places[0]].due
            return True
        if self._heads[RUN] != NIL:
            due_ms[0] = self._timers[self._heads[RUN]].due
            return True
        if self._levels == 0:
            return False
        due_ms[0] = self._minimum(self._first())
        return True

    def statistics(self):
        cdef int where
        cdef list levels = [0] * LEVELS
        cdef Py_ssize_t held = self._room * sizeof(Timer) + self._late.room * sizeof(uint32_t)
        self._settle()
        for where in range(SLOTS):
            levels[where >> 6] += self._counts[where]
        return {
            "timers": self._live,
            "late": self._late.length,
            "run": self._counts[RUN],
            "bytes": held,
            "levels": levels,
            "elapsed_ms": <int64_t>(self._elapsed ^ SIGN),
        }

    # -- places in the array

    cdef int _grow(self) except -1:
        cdef uint64_t room = <uint64_t>self._room + (self._room >> 4) + 64
        cdef Timer* grown
        if room >= NIL:
            raise MemoryError("a wheel has less than 2**32 timers")
        grown = <Timer*>extended(self._timers, self._room * sizeof(Timer), room * sizeof(Timer))
        if grown == NULL:
            raise MemoryError()
        self._timers = grown
        self._room = <uint32_t>room
        return 0

    cdef int _grow_late(self) except -1:
        cdef Py_ssize_t room = self._late.room + (self._late.room >> 3) + 64
        cdef uint32_t* grown = <uint32_t*>realloc(self._late.places, room * sizeof(uint32_t))
        if grown == NULL:
            raise MemoryError()
        self._late.places = grown
        self._late.room = room
        return 0

    cdef void _release(self, uint32_t at) noexcept:
        cdef Timer* timer = &self._timers[at]
        timer.where = FREE
        timer.generation += 1
        if timer.generation == 0:
            timer.generation = 1
        timer.next = self._free
        self._free = at
        self._live -= 1

    # -- slots

    cdef void _place(self, uint32_t at) noexcept:
        cdef Timer* timer = &self._timers[at]
        cdef uint64_t when = ordered(timer.due)
        cdef int level = (63 - clzll((when ^ self._elapsed) | 1)) // 6
        cdef int slot = (when >> (6 * level)) & 63
        cdef int where = level * 64 + slot
        cdef uint64_t bit = <uint64_t>1 << slot
        timer.where = where
        timer.prev = NIL
        timer.next = self._heads[where]
        self._heads[where] = at
        self._counts[where] += 1
        if timer.next != NIL:
            self._timers[timer.next].prev = at
            if timer.due > self._minima[where]:
                return
        else:
            self._occupied[level] |= bit
            self._levels |= 1 << level
        self._minima[where] = timer.due
        self._unsure[level] &= ~bit

    cdef void _unlink(self, uint32_t at) noexcept:
        cdef Timer* timer = &self._timers[at]
        cdef int where = timer.where
        if timer.prev == NIL:
            self._heads[where] = timer.next
        else:
            self._timers[timer.prev].next = timer.next
        if timer.next != NIL:
            self._timers[timer.next].prev = timer.prev
        self._counts[where] -= 1
        if where == RUN:
            return
        if self._counts[where] == 0:
            self._clear(where)
        elif where >= 64 and timer.due == self._minima[where]:
            self._unsure[where >> 6] |= <uint64_t>1 << (where & 63)

    cdef void _clear(self, int where) noexcept:
        """Mark a slot as empty."""
        cdef int level = where >> 6
        self._heads[where] = NIL
        self._counts[where] = 0
        self._occupied[level] &= ~(<uint64_t>1 << (where & 63))
        if self._occupied[level] == 0:
            self._levels &= ~(1 << level)

    cdef int _first(self) noexcept:
        """Return the slot with the earliest timers; there must be one."""
        cdef int level = ctzll(self._levels)
        return level * 64 + ctzll(self._occupied[level])

    cdef int64_t _minimum(self, int where) noexcept:
        """Return the smallest due in a slot that is in use."""
        cdef int level = where >> 6
        cdef uint64_t bit = <uint64_t>1 << (where & 63)
        cdef uint32_t at
        if self._unsure[level] & bit:
            at = self._heads[where]
            self._minima[where] = INT64_MAX
            while at != NIL:
                self._minima[where] = min(self._minima[where], self._timers[at].due)
                at = self._timers[at].next
            self._unsure[level] &= ~bit
        return self._minima[where]

    cdef uint64_t _start(self, int where) noexcept:
        """Return the first (ordered) millisecond of a slot that is in use."""
        cdef int shift = 6 * (where >> 6)
        cdef uint64_t above = 0
        if shift + 6 < 64:
            above = self._elapsed >> (shift + 6) << (shift + 6)
        return above | <uint64_t>(where & 63) << shift

    cdef int _turn(self, int64_t now_ms) except -1:
        """Run and heap are empty: empty the first slot if it begins by now. False: nothing is due."""
        cdef uint64_t now = ordered(now_ms)
        cdef uint64_t start
        cdef int where
        if self._levels:
            where = self._first()
            start = self._start(where)
            if start <= now:
                if where < 64:
                    self._gather(where)
                    self._elapsed = start
                else:
                    self._elapsed = min(now, ordered(self._minimum(where)))
                    self._cascade(where)
                return True
        if now > self._elapsed:
            self._elapsed = now
        return False

    cdef void _cascade(self, int where) noexcept:
        cdef uint32_t at = self._heads[where]
        cdef uint32_t next
        self._clear(where)
        while at != NIL:
            next = self._timers[at].next
            self._place(at)
            at = next

    # -- the run

    cdef int _gather(self, int where) except -1:
        """Make the run of a slot of level 0, whose list has the newest first."""
        cdef Entry[FEW] few
        cdef Entry* entries = few
        cdef Py_ssize_t length = self._counts[where]
        cdef uint32_t at = self._heads[where]
        cdef uint32_t next = self._timers[at].next
        cdef Py_ssize_t place
        while next != NIL and self._timers[next].key <= self._timers[at].key:
            at = next
            next = self._timers[at].next
        if next == NIL:
            self._reverse(where)
            return 0
        if length > FEW:
            entries = <Entry*>malloc(2 * length * sizeof(Entry))
            if entries == NULL:
                raise MemoryError()
        at = self._heads[where]
        for place in range(length):
            entries[place] = Entry(self._timers[at].key, at)
            at = self._timers[at].next
        self._clear(where)
        if length <= FEW:
            sort_few(entries, length)
            self._link_run(entries, length)
        else:
            self._link_run(sort_many(entries, entries + length, length), length)
            free(entries)
        return 0

    cdef void _reverse(self, int where) noexcept:
        """Make the run of the list, the other way round."""
        cdef uint32_t at = self._heads[where]
        cdef uint32_t next
        self._counts[RUN] = self._counts[where]
        self._clear(where)
        while at != NIL:
            next = self._timers[at].next
            self._timers[at].next = self._timers[at].prev
            self._timers[at].prev = next
            self._timers[at].where = RUN
            self._heads[RUN] = at
            at = next

    cdef void _link_run(self, Entry* entries, Py_ssize_t length) noexcept:
        cdef Py_ssize_t place
        cdef Timer* timer
        for place in range(length):
            timer = &self._timers[entries[place].timer]
            timer.where = RUN
            timer.prev = entries[place - 1].timer if place else NIL
            timer.next = entries[place + 1].timer if place + 1 < length else NIL
        self._heads[RUN] = entries[0].timer
        self._counts[RUN] = <uint32_t>length
