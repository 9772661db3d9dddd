"""A flow as it runs: nodes as numbers, and what is kept of it over versions.

Node ids get numbers that are stable over the versions of a flow and never used again, so a waiting run need not be
touched when a new version is launched, counters go on, and "the wait is gone" is an empty place in an array. Each
node has a list of the runs that wait there, in order of arrival, threaded through the runs themselves.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from ext.kernel.limit_window cimport Passages
from ext.kernel.run cimport Run
from ext.kernel.trial_totals cimport TrialTotals
from ext.structures.siphash cimport siphash24_c

from sortedcontainers import SortedList

from engine.model import END_REASONS, LAUNCH_MODES, NODE_KINDS, TRACE_WORDS


@cython.final
cdef class NodeCore:
    """A node of the running version, its edges as numbers."""

    def __init__(self, FlowCore flow, planned, bytes salt, tuple deeds not None):
        cdef int32_t upper = 0
        node = planned.node
        self.id = planned.id
        self.no = flow.numbers[planned.id]
        self.acted = (<char*>&self.no)[: sizeof(int32_t)]
        self.kind = planned.kind
        self.code = NODE_KINDS.index(planned.kind)
        self.planned = planned
        self.deeds = deeds
        self.plan = planned.plan
        self.next = self.other = -1
        memcpy(self.salt, PyBytes_AS_STRING(salt), 16)
        if self.code in (KIND_LAUNCH, KIND_STEP, KIND_WAIT, KIND_LIMIT):
            self.next = flow.number(node.next)
        if self.code == KIND_CONDITION:
            self.next = flow.number(node.then)
            self.other = flow.number(node.otherwise)
        elif self.code == KIND_STEP:
            self.relevance_ms = node.relevance_ms
        elif self.code == KIND_WAIT:
            self.for_ms = 0 if node.for_ms is None else node.for_ms
            self.windows = node.windows
            self.other = flow.number(node.missing)
            if node.until_event is not None:
                self.matches = True
                self.match_events = node.until_event.events
                self.match_where = planned.match
                self.match_sees_event = planned.match_sees_event
                self.other = flow.number(node.otherwise)
        elif self.code == KIND_LIMIT:
            self.other = flow.number(node.over)
            self.passages = flow.passages_of(self.no, node.max, -1 if node.per_ms is None else node.per_ms)
        elif self.code in (KIND_SPLIT, KIND_AB_TEST):
            branches = node.branches if self.code == KIND_SPLIT else node.variants
            assert len(branches) <= FAN_MAX
            self.branches = tuple(branch.name for branch in branches)
            for branch in branches:
                upper += branch.share
                self.uppers[self.fan] = upper
                self.targets[self.fan] = flow.number(branch.next)
                self.taken[self.fan] = flow.place_of(self.no, branch.name)
                self.fan += 1

    cdef int drawn(self, const char* what, Py_ssize_t size) noexcept:
        """Draw the branch of a run or a contact: always the same one (rule 21)."""
        cdef int32_t point = siphash24_c(self.salt, <const uint8_t*>what, size) % 10_000
        cdef int i = 0
        while i < self.fan - 1 and point >= self.uppers[i]:
            i += 1
        return i


@cython.final
cdef class FlowCore:
    """A flow as it runs: the active version's nodes, and what is kept over versions."""

    def __cinit__(self, int32_t no, str id not None):
        self.no = no
        self.id = id
        self.nodes = []
        self.ids = []
        self.numbers = {}
        self.passages = {}
        self.taken_at = {}
        self.trials = {}
        self.trials_began = {}
        self.events = ()
        self.held = SortedList()
        self.paused_ms = INT64_MAX
        self.start_ms = INT64_MIN
        self.end_ms = INT64_MAX

    def __dealloc__(self):
        free(self.heads)
        free(self.tails)
        free(self.waiting)
        free(self.doomed)
        free(self.doom)
        free(self.doom_reason)
        free(self.counts)
        free(self.taken)

    def number(self, id):
        """Return the stable number of a node id, -1 for None."""
        return -1 if id is None else self.numbers[id]

    def passages_of(self, no, max, per_ms):
        """Return the passages of a limit node, kept over edits by node id (rule 23)."""
        kept = self.passages.get(no)
        if kept is None:
            kept = self.passages[no] = Passages(max, per_ms)
        else:
            kept.resize(max, per_ms)
        return kept

    def place_of(self, no, name):
        """Return the place of a branch's counter, kept over edits by node id and name."""
        cdef int32_t place = self.taken_at.setdefault((no, name), len(self.taken_at))
        cdef int32_t room
        if place == self.taken_room:
            room = max(16, self.taken_room * 2)
            self.taken = <int64_t*>_more(self.taken, self.taken_room, room, sizeof(int64_t))
            self.taken_room = room
        return place

    @property
    def branches(self):
        """Counts of the runs that took each (node number, branch name), in order, without zeros."""
        cdef int32_t place
        return {branch: self.taken[place] for branch, place in sorted(self.taken_at.items()) if self.taken[place]}

    def know(self, str id):
        """Give a node id its number; numbers are never used again."""
        if id in self.numbers:
            return
        cdef int32_t no = len(self.ids)
        cdef int32_t room
        if no == self.room:
            room = max(16, self.room * 2)
            self.heads = <void**>_more(self.heads, self.room, room, sizeof(void*))
            self.tails = <void**>_more(self.tails, self.room, room, sizeof(void*))
            self.waiting = <int64_t*>_more(self.waiting, self.room, room, sizeof(int64_t))
            self.doomed = <int64_t*>_more(self.doomed, self.room, room, sizeof(int64_t))
            self.doom = <int64_t*>_more(self.doom, self.room, room, sizeof(int64_t))
            self.doom_reason = <int32_t*>_more(self.doom_reason, self.room, room, sizeof(int32_t))
            self.counts = <int64_t*>_more(self.counts, self.room, room, COUNTERS * sizeof(int64_t))
            self.room = room
        self.numbers[id] = no
        self.ids.append(id)
        self.nodes.append(None)

    def install(self, program, int32_t version, salt_of, deeds_of):
        """Run this version from now on. Gives the numbers of waits that are gone from it (rule 27)."""
        flow = program.flow
        for id in flow.nodes:
            self.know(id)
        self.program = program
        self.version = version
        self.nodes = [None] * len(self.ids)
        for planned in program.nodes:
            node = NodeCore(self, planned, salt_of(self.id, planned.id), deeds_of(planned))
            self.nodes[node.no] = node
            if node.code == KIND_LAUNCH:
                self.launch = node
        self.where = program.where
        self.events = program.events
        self.run_key = program.run_key
        self.exits = flow.exit_when is not None
        self.exit_events = flow.exit_when.events if self.exits else ()
        self.exit_where = program.exit_where
        self.listens = self.exits or any((<NodeCore>node).matches for node in self.nodes if node is not None)
        self.mode = LAUNCH_MODES.index(flow.frequency.mode)
        self.every_ms = 0 if flow.frequency.every_ms is None else flow.frequency.every_ms
        self.max_launches = -1 if flow.frequency.max is None else flow.frequency.max
        self.hold = flow.when_paused == "hold"
        self.set_schedule(flow.schedule.start_ms, flow.schedule.end_ms)
        return [
            no
            for no in range(len(self.ids))
            if self.waiting[no] > self.doomed[no] and (self.nodes[no] is None or (<NodeCore>self.nodes[no]).code != KIND_WAIT)
        ]

    def set_schedule(self, start_ms, end_ms):
        """Set the bounds between which the flow runs, ms or None (rule 9)."""
        self.start_ms = INT64_MIN if start_ms is None else start_ms
        self.end_ms = INT64_MAX if end_ms is None else end_ms

    cdef bint runs_at(self, int64_t ms) noexcept:
        """Whether it takes entries, and lets waits end, at an instant (rules 9, 28)."""
        return ms < self.paused_ms and ms < self.end_ms

    def running(self, int64_t ms):
        """Whether it takes entries, and lets waits end, at an instant."""
        return self.runs_at(ms)

    cdef int64_t* counters(self, int32_t node) except NULL:
        """Return the counters of a node, to be read or changed."""
        if self.wanted:
            self.touch()
        return self.counts + node * COUNTERS

    def runs_waiting(self, int32_t node, int64_t after, Py_ssize_t most):
        """Return at most `most` runs at a node in order of arrival, those that arrived after `after`."""
        cdef list found = []
        cdef void* at = self.heads[node]
        after = max(after, self.doom[node])
        while at != NULL and len(found) < most:
            if (<Run>at).arrival > after:
                found.append(<Run>at)
            at = (<Run>at).next_at_node
        return found

    def waiting_by_node(self):
        """Return `{node id: runs waiting there}` without zeros. Doomed runs do not count."""
        return {
            self.ids[no]: self.waiting[no] - self.doomed[no]
            for no in range(len(self.ids))
            if self.waiting[no] > self.doomed[no]
        }

    def ending(self):
        """Whether runs of it are still to be ended."""
        return any(self.doomed[no] for no in range(len(self.ids)))

    def count(self, int32_t node, int32_t what):
        """Return one counter, for tests and lists."""
        return self.counters(node)[what]

    def stats(self):
        """Return numbers per node, as the API shows them: nodes of the running version in the order
        of the document, then those gone from it."""
        cdef int64_t* counts
        cdef dict found = {}
        cdef dict branches = self.branches
        cdef dict row
        cdef int i
        here = [planned.id for planned in self.program.nodes] if self.program is not None else []
        gone = [id for id in self.ids if id not in set(here)]
        for id in [*here, *gone]:
            no = self.numbers[id]
            counts = self.counters(no)
            row = {"arrived": counts[ARRIVED], "waiting": self.waiting[no] - self.doomed[no]}
            for i, name in enumerate(TRACE_WORDS):
                if i != WAITING:
                    row[name] = counts[i]
            for i, name in enumerate(END_REASONS):
                row[name] = counts[WHATS_END + i]
            row["true"] = counts[TRUE]
            row["false"] = counts[FALSE]
            taken = {name: n for (at, name), n in branches.items() if at == no}
            if taken:
                row["branches"] = taken
            found[id] = row
        return found

    cdef TrialTotals totals_of(self, int32_t no, str variant):
        """Return the totals of a variant, added if missing. To be changed after `touch`."""
        totals = self.trials.get((no, variant))
        if totals is None:
            totals = self.trials[(no, variant)] = TrialTotals()
        return <TrialTotals>totals

    def count_trial(self, NodeCore node, str chosen, int64_t now_ms):
        """Count a contact's first arrival at an A/B test: each variant expects its share of it."""
        cdef int32_t below = 0
        cdef int i
        for i, name in enumerate(node.branches):
            self.totals_of(node.no, name).expect(node.uppers[i] - below, name == chosen)
            below = node.uppers[i]
        self.trials_began.setdefault(node.no, now_ms)

    def freeze(self):
        """Begin a snapshot: `frozen_pack` will return what `pack` would return now."""
        self.wanted = True
        self.kept = None

    cdef int touch(self) except -1:
        """Call before anything of it changes that `pack` gives; `counters` does."""
        if self.wanted:
            self.kept = self.pack()
            self.wanted = False
        return 0

    def frozen_pack(self):
        """Return what `pack` returned when `freeze` was called; can be called once."""
        kept, self.kept = self.kept, None
        self.wanted = False
        return self.pack() if kept is None else kept

    def pack(self):
        """Return what changes as the flow runs, for a snapshot. Sums of squares outgrow 64 bits, so they are texts."""
        cdef Py_ssize_t n = len(self.ids)
        return {
            "no": self.no,
            "id": self.id,
            "ids": self.ids,
            "counts": _bytes_of(self.counts, n * COUNTERS),
            "branches": [[no, name, count] for (no, name), count in self.branches.items()],
            "passages": [[no, kept.pack()] for no, kept in sorted(self.passages.items())],
            "trials": [[no, name, list(map(str, totals.sums()))] for (no, name), totals in sorted(self.trials.items())],
            "trials_began": sorted(self.trials_began.items()),
            "paused": self.paused_ms,
            "start": self.start_ms,
            "end": self.end_ms,
            "version": self.version,
            "dead": bool(self.dead),
            "doom": [[no, self.doom[no], self.doom_reason[no]] for no in range(n) if self.doomed[no]],
        }

    def unpack(self, dict packed):
        """Restore what `pack` returned, before `install` of the version that ran. A dead flow has no version to install."""
        cdef bytes counts = packed["counts"]
        for id in packed["ids"]:
            self.know(id)
        assert len(counts) == <Py_ssize_t>(len(self.ids) * COUNTERS * sizeof(int64_t)), "counters of another layout"
        memcpy(self.counts, PyBytes_AS_STRING(counts), len(counts))
        for no, name, count in packed["branches"]:
            self.taken[self.place_of(no, name)] = count
        self.trials = {(no, name): TrialTotals(*map(int, sums)) for no, name, sums in packed["trials"]}
        self.trials_began = dict(packed["trials_began"])
        self.version = packed["version"]
        self.dead = packed["dead"]
        for no, doom, reason in packed["doom"]:
            self.doom[no] = doom
            self.doom_reason[no] = reason
        for no, kept in packed["passages"]:
            self.passages[no] = Passages(1)
            self.passages[no].unpack(kept)

    def unpack_times(self, dict packed):
        """Restore the times, after `install`, which sets the schedule of the document."""
        self.paused_ms = packed["paused"]
        self.start_ms = packed["start"]
        self.end_ms = packed["end"]


cdef void* _more(void* block, size_t had, size_t wanted, size_t size) except NULL:
    """Enlarge a block; the new part is filled with zeros."""
    block = realloc(block, wanted * size)
    if block == NULL:
        raise MemoryError
    memset(<char*>block + had * size, 0, (wanted - had) * size)
    return block


cdef bytes _bytes_of(int64_t* numbers, Py_ssize_t n):
    return (<char*>numbers)[: n * sizeof(int64_t)]
