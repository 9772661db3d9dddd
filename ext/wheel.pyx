# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A hierarchical timing wheel with a resolution of one millisecond.

Prior art: Varghese and Lauck (1987); the wheels of tokio and Kafka. Like tokio's, this one never ticks: a
bitmap per level says which slots hold anything, so an hour in which nothing is due costs as much as a millisecond.

Where a timer is
----------------
Read the due time as digits of 6 bits, the lowest first: 11 digits, 11 levels of 64 slots. A timer lies at the
level of the *highest digit in which its due differs from the wheel's own time* (`elapsed`), in the slot named by
that digit. With elapsed = 1·64 + 10 (digits … 0 1 10), that is 74:

    due   digits (2 1 0)  highest that differs   level, slot
     75       0  1 11             0                0, 11      a slot of level 0 is one millisecond
    127       0  1 63             0                0, 63
    128       0  2  0             1                1, 2       of level 1 it is 64 ms: 128 to 191
    170       0  2 42             1                1, 2
   5000       1 14  8             2                2, 1       of level 2 it is 4.1 s: 4096 to 8191

Two things follow. Everything at a level is due before everything at the level above it, because it shares the
digits above with `elapsed`. And within a level slots with a higher number are later. So the earliest timers
are in the lowest occupied slot of the lowest occupied level: two bit scans.

Turning it
----------
`expire(now)` looks at that slot. If it begins after `now`, nothing is due and `elapsed` becomes `now`: no other
timer has to move, since the digits in which they differ from `elapsed` are still the highest. Otherwise `elapsed`
becomes the beginning of the slot and

- at level 0 the slot is *gathered*: all its timers are due at that millisecond. They are copied into the *run*, an
  array sorted by key once (radix sort; nothing to do where keys came in order), and given out from there, so a
  million timers of one millisecond leave in slices that cost what the slice costs;
- at a higher level it *cascades*: its timers are placed anew, each at a lower level, as `elapsed` shares one
  more digit with them.

In the example, `expire(200, 3)` gathers (0, 11) → 75 is out; gathers (0, 63) → 127 is out; sets elapsed to 128,
cascades (1, 2): 128 goes to (0, 0), 170 to (0, 42); gathers (0, 0) → 128 is out: three, enough. 170 stays
where it is, elapsed lags behind at 128, and the next call goes on there. A timer cascades at most ten times
in its life, in practice three or four times: O(1).

A timer inserted with `due <= elapsed` has no slot. Such *late* ones (an instant already past, or a rebuilt
wheel) go to a binary heap by (due, key). They are due before everything in a slot and no later than the run, so
the next to go is the smaller of heap and run, and slots are touched only when both are empty.

Memory
------
Timers are 32 bytes, in one array that grows by a sixteenth (the C library moves large blocks by remapping
pages), linked into slots by 32-bit index: at most 34 bytes each, 39 for a late one. A handle is the index with the generation of the
place, which changes when the timer leaves it, so an old handle cancels nothing.

Each slot remembers the smallest due in it, which makes `next_due` exact without a cascade. Cancelling the timer
that is the smallest of its slot makes that a lower bound; then the next question that needs it walks the slot.

Rejected: a binary heap or a sorted tree for all (O(log n), and a cache miss per level at 10 million), a
slot kept sorted (O(n) inserts), moving `elapsed` ahead of the clock to find the next due (timers inserted
afterwards would all be late).
"""

cimport cython
from libc.stdint cimport INT64_MAX, UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

cdef extern from *:
    int clzll "__builtin_clzll" (unsigned long long) noexcept nogil
    int ctzll "__builtin_ctzll" (unsigned long long) noexcept nogil

cdef enum:
    RUN = 0x1000
    LATE = 0x1001
    FREE = 0x1002
    CHUNK = 256  # timers given out at once by the Python method
    RUN_KEPT = 4096  # entries of the run's array that are kept for the next one
    RADIX_MIN = 64  # from so many entries on a radix sort is the faster one
    DIGITS = 8

cdef uint32_t NIL = UINT32_MAX
cdef uint64_t SIGN = <uint64_t>1 << 63


cdef inline uint64_t _ordered(int64_t ms) noexcept nogil:
    """Unsigned, in the same order."""
    return <uint64_t>ms ^ SIGN


cdef void _sort_few(Entry* entries, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t at, place
    cdef Entry moved
    for at in range(1, length):
        moved = entries[at]
        place = at
        while place > 0 and entries[place - 1].key > moved.key:
            entries[place] = entries[place - 1]
            place -= 1
        entries[place] = moved


cdef bint _sort(Entry* entries, Entry* other, Py_ssize_t length) noexcept nogil:
    """By key. True: the result is in `other`. Bytes that are the same in all keys cost no pass."""
    cdef Py_ssize_t[DIGITS][256] ends
    cdef Py_ssize_t at, sum, number
    cdef int digit, value
    cdef uint64_t key
    cdef Entry* swap
    cdef bint moved = False
    memset(ends, 0, sizeof(ends))
    for at in range(length):
        key = _ordered(entries[at].key)
        for digit in range(DIGITS):
            ends[digit][(key >> (8 * digit)) & 255] += 1
    for digit in range(DIGITS):
        if ends[digit][(_ordered(entries[0].key) >> (8 * digit)) & 255] == length:
            continue
        sum = 0
        for value in range(256):
            number = ends[digit][value]
            ends[digit][value] = sum
            sum += number
        for at in range(length):
            value = (_ordered(entries[at].key) >> (8 * digit)) & 255
            other[ends[digit][value]] = entries[at]
            ends[digit][value] += 1
        swap = entries
        entries = other
        other = swap
        moved = not moved
    return moved


@cython.final
cdef class Wheel:
    def __cinit__(self, int64_t now_ms=0):
        self._elapsed = _ordered(now_ms)
        self._free = NIL
        memset(self._heads, 0xFF, sizeof(self._heads))

    def __dealloc__(self):
        free(self._timers)
        free(self._run)
        free(self._late)

    def __len__(self):
        return self._live

    # -- the four verbs

    cpdef uint64_t insert(self, int64_t due_ms, int64_t key) except 0:
        cdef bint late = _ordered(due_ms) <= self._elapsed
        cdef bint fresh = self._free == NIL
        cdef uint32_t at
        cdef Timer* timer
        if fresh and self._used == self._room:
            self._grow()
        at = self._used if fresh else self._free
        timer = &self._timers[at]
        timer.due = due_ms
        timer.key = key
        if fresh:
            timer.generation = 1
        if late:
            self._late_push(at)  # may raise: the place is taken only afterwards
        if fresh:
            self._used += 1
        else:
            self._free = timer.next
        if not late:
            self._place(at)
        self._live += 1
        return <uint64_t>timer.generation << 32 | at

    cpdef bint cancel(self, uint64_t handle) noexcept:
        cdef uint32_t at = <uint32_t>handle
        cdef Timer* timer
        if at >= self._used:
            return False
        timer = &self._timers[at]
        if timer.generation != <uint32_t>(handle >> 32) or timer.where == FREE:
            return False
        if timer.where < SLOTS:
            self._unlink(at)
        elif timer.where == LATE:
            self._late_remove(timer.prev)
        self._release(at)
        return True

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
        """As `expire`, into two arrays of at least `limit` places; gives how many."""
        cdef int out = 0
        cdef uint32_t at
        while out < limit:
            at = NIL
            if self._run_top():
                at = self._run[self._run_at].timer
            if self._late_count and (at == NIL or self._before(self._late[0], at)):
                at = self._late[0]
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
                self._late_remove(0)
            else:
                self._run_at += 1
            self._release(at)
        return out

    def next_due(self):
        cdef int64_t due
        return due if self.peek(&due) else None

    cdef bint peek(self, int64_t* due_ms) noexcept:
        """The smallest due; False if there is no timer."""
        cdef int level, where
        cdef uint32_t at
        if self._late_count:
            due_ms[0] = self._timers[self._late[0]].due
            return True
        if self._run_top():
            due_ms[0] = self._run_due
            return True
        if self._levels == 0:
            return False
        level = ctzll(self._levels)
        where = level * 64 + ctzll(self._occupied[level])
        if self._unsure[level] >> (where & 63) & 1:
            at = self._heads[where]
            self._minima[where] = INT64_MAX
            while at != NIL:
                if self._timers[at].due < self._minima[where]:
                    self._minima[where] = self._timers[at].due
                at = self._timers[at].next
            self._unsure[level] &= ~(<uint64_t>1 << (where & 63))
        due_ms[0] = self._minima[where]
        return True

    def statistics(self):
        cdef int where
        cdef list levels = [0] * LEVELS
        cdef Py_ssize_t held = sizeof(Wheel) + self._room * sizeof(Timer)
        cdef Py_ssize_t run = 0
        cdef Py_ssize_t at
        for where in range(SLOTS):
            levels[where >> 6] += self._counts[where]
        for at in range(self._run_at, self._run_end):
            run += self._timers[self._run[at].timer].generation == self._run[at].generation
        held += self._run_room * sizeof(Entry) + self._late_room * sizeof(uint32_t)
        return {
            "timers": self._live,
            "late": self._late_count,
            "run": run,
            "bytes": held,
            "bytes_per_timer": <Py_ssize_t>sizeof(Timer),
            "levels": levels,
            "elapsed_ms": <int64_t>(self._elapsed ^ SIGN),
        }

    # -- places in the array

    cdef int _grow(self) except -1:
        cdef uint64_t room = <uint64_t>self._room + (self._room >> 4) + 64
        cdef Timer* grown
        if room >= NIL:
            raise MemoryError("a wheel has less than 2**32 timers")
        grown = <Timer*>realloc(self._timers, room * sizeof(Timer))
        if grown == NULL:
            raise MemoryError()
        self._timers = grown
        self._room = <uint32_t>room
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
        cdef uint64_t when = _ordered(timer.due)
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
        if self._counts[where] == 0:
            self._clear(where)
        elif where >= 64 and timer.due == self._minima[where]:
            self._unsure[where >> 6] |= <uint64_t>1 << (where & 63)

    cdef void _clear(self, int where) noexcept:
        """The slot holds nothing any more."""
        cdef int level = where >> 6
        self._heads[where] = NIL
        self._counts[where] = 0
        self._occupied[level] &= ~(<uint64_t>1 << (where & 63))
        if self._occupied[level] == 0:
            self._levels &= ~(1 << level)

    cdef uint64_t _start(self, int where) noexcept:
        """The first (ordered) millisecond of a slot that is in use."""
        cdef int shift = 6 * (where >> 6)
        cdef uint64_t above = 0
        if shift + 6 < 64:
            above = self._elapsed >> (shift + 6) << (shift + 6)
        return above | <uint64_t>(where & 63) << shift

    cdef int _turn(self, int64_t now_ms) except -1:
        """Run and heap are empty: empty the first slot if it begins by now. False: nothing is due."""
        cdef uint64_t now = _ordered(now_ms)
        cdef uint64_t start
        cdef int level, where
        if self._levels:
            level = ctzll(self._levels)
            where = level * 64 + ctzll(self._occupied[level])
            start = self._start(where)
            if start <= now:
                if level:
                    self._elapsed = start
                    self._cascade(where)
                else:
                    self._gather(where)
                    self._elapsed = start
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

    cdef bint _run_top(self) noexcept:
        """Whether the run has a timer left; steps over those cancelled meanwhile."""
        while self._run_at < self._run_end:
            if self._timers[self._run[self._run_at].timer].generation == self._run[self._run_at].generation:
                return True
            self._run_at += 1
        return False

    cdef int _gather(self, int where) except -1:
        """Make the run of a slot of level 0. The list has the newest first, so it is filled from the end."""
        cdef Py_ssize_t length = self._counts[where]
        cdef Py_ssize_t room = length if length < RADIX_MIN else 2 * length
        cdef Py_ssize_t place = length
        cdef uint32_t at = self._heads[where]
        cdef bint sorted = True
        cdef Timer* timer
        if room > self._run_room or self._run_room > max(RUN_KEPT, room):
            free(self._run)
            self._run_room = 0
            self._run_at = self._run_end = 0
            self._run = <Entry*>malloc(max(room, RADIX_MIN) * sizeof(Entry))
            if self._run == NULL:
                raise MemoryError()
            self._run_room = max(room, RADIX_MIN)
        self._run_due = self._timers[at].due
        while at != NIL:
            timer = &self._timers[at]
            place -= 1
            self._run[place] = Entry(timer.key, at, timer.generation)
            if place < length - 1 and timer.key > self._run[place + 1].key:
                sorted = False
            timer.where = RUN
            at = timer.next
        self._clear(where)
        self._run_at = 0
        self._run_end = length
        if not sorted:
            if length < RADIX_MIN:
                _sort_few(self._run, length)
            elif _sort(self._run, self._run + length, length):
                self._run_at = length
                self._run_end = 2 * length
        return 0

    # -- the heap of late ones; `prev` is a timer's place in it

    cdef inline bint _before(self, uint32_t one, uint32_t other) noexcept:
        cdef Timer* a = &self._timers[one]
        cdef Timer* b = &self._timers[other]
        return a.due < b.due or (a.due == b.due and a.key < b.key)

    cdef int _late_push(self, uint32_t at) except -1:
        cdef Py_ssize_t room
        cdef uint32_t* grown
        if self._late_count == self._late_room:
            room = self._late_room + (self._late_room >> 3) + 64
            grown = <uint32_t*>realloc(self._late, room * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError()
            self._late = grown
            self._late_room = room
        self._timers[at].where = LATE
        self._timers[at].prev = <uint32_t>self._late_count
        self._late[self._late_count] = at
        self._late_count += 1
        self._late_up(self._late_count - 1)
        return 0

    cdef void _late_remove(self, Py_ssize_t place) noexcept:
        cdef uint32_t last
        self._late_count -= 1
        if place < self._late_count:
            last = self._late[self._late_count]
            self._late[place] = last
            self._timers[last].prev = <uint32_t>place
            self._late_up(place)
            self._late_down(self._timers[last].prev)

    cdef void _late_up(self, Py_ssize_t place) noexcept:
        cdef uint32_t at = self._late[place]
        cdef Py_ssize_t parent
        while place > 0:
            parent = (place - 1) >> 1
            if not self._before(at, self._late[parent]):
                break
            self._late[place] = self._late[parent]
            self._timers[self._late[place]].prev = <uint32_t>place
            place = parent
        self._late[place] = at
        self._timers[at].prev = <uint32_t>place

    cdef void _late_down(self, Py_ssize_t place) noexcept:
        cdef uint32_t at = self._late[place]
        cdef Py_ssize_t child
        while True:
            child = 2 * place + 1
            if child >= self._late_count:
                break
            if child + 1 < self._late_count and self._before(self._late[child + 1], self._late[child]):
                child += 1
            if not self._before(self._late[child], at):
                break
            self._late[place] = self._late[child]
            self._timers[self._late[place]].prev = <uint32_t>place
            place = child
        self._late[place] = at
        self._timers[at].prev = <uint32_t>place
