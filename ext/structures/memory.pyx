"""Large pages for an engine's memory.

An event of one contact among millions touches a dozen places that nothing touched lately. Each of them is a miss of the
cache and, with pages of 4 KiB, of the translation of addresses as well, which on a virtual machine costs several further
ones. With pages of 2 MiB the translations of gigabytes fit into the processor: an event costs a fifth to a third less.

Linux gives large pages to whoever asks (where `transparent_hugepage` is `madvise` or `always`). Tables ask by
`in_large_pages` when they are made. Everything small (contacts, runs, traits, histories) lies in the arenas of Python's
allocator of small objects, which takes them from the function set here: from blocks of 64 MiB of address space, whose
pages are taken when they are first touched. An arena that Python has emptied goes back to the system.

Touching a page first means that the system clears 2 MiB, which takes a tenth of a millisecond, and on some virtual
machines fifty times that. So a thread beside the loop touches those that come next (`touch_ahead`).

Buffers of some hundred kilobytes to some megabytes (what came in, frames, parts of checkpoints) come from the C library,
which gives the end of its heap back to the system as soon as so much is free, and takes it anew a moment later: ten
milliseconds of the loop at a time. `keep_freed` has it kept; `give_back` returns it when there was much.

Rejected: glibc's own tunable, which has to be in the environment before the process starts and leaves Python's arenas
out; an allocator of our own for records, which would have to be as good as Python's.
"""

cdef extern from *:
    """
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
    #define TM_BLOCK ((size_t)64 << 20)
    static char* tm_next = NULL;
    static char* tm_end = NULL;

    static void* tm_arena(void* context, size_t size) {
        void* arena;
        (void)context;
        if ((size_t)(tm_end - tm_next) < size) {
            char* block = (char*)mmap(NULL, TM_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (block == (char*)MAP_FAILED || size > TM_BLOCK) return NULL;
            tm_in_large_pages(block, TM_BLOCK);
            tm_next = block;
            tm_end = block + TM_BLOCK;
        }
        arena = tm_next;
        tm_next += size;
        return arena;
    }

    #ifndef MADV_POPULATE_WRITE
    #define MADV_POPULATE_WRITE 23
    #endif
    #define TM_AHEAD ((size_t)8 << 20)
    static char* tm_touched = NULL;

    /* What is to be touched next: from there to the end given, both in the block that arenas are taken from. */
    static char* tm_untouched(char** end) {
        char* from = tm_touched > tm_next && tm_touched <= tm_end ? tm_touched : tm_next;
        *end = (size_t)(tm_end - tm_next) > TM_AHEAD ? tm_next + TM_AHEAD : tm_end;
        return from;
    }
    static int tm_wants_touch(void) {
        char* end;
        char* from = tm_untouched(&end);
        return from < end && (size_t)(end - from) >= TM_LARGE_PAGE;
    }
    /* Arenas may be taken from there meanwhile: what is in the pages stays as it is. One large page at a time: who wants
       to change the address space (an arena given back) waits as long as one call takes. */
    static void tm_touch_ahead(char* from, char* end) {
        from = (char*)((uintptr_t)from & ~(uintptr_t)4095);
        while (from < end) {
            char* next = (char*)(((uintptr_t)from + TM_LARGE_PAGE) & ~(TM_LARGE_PAGE - 1));
            if (next > end) next = end;
            (void)madvise(from, (size_t)(next - from), MADV_POPULATE_WRITE);
            from = next;
        }
    }

    static void tm_return(void* context, void* arena, size_t size) {
        (void)context;
        munmap(arena, size);
    }

    /* Python's own arenas are mapped and unmapped as well, so those it has already may be returned by this. */
    static int tm_use(void) {
        PyObjectArenaAllocator arenas = {NULL, tm_arena, tm_return};
        PyObject_SetArenaAllocator(&arenas);
        return 1;
    }
    #else
    static char* tm_touched = NULL;
    static int tm_use(void) { return 0; }
    static int tm_wants_touch(void) { return 0; }
    static char* tm_untouched(char** end) { return *end = NULL; }
    static void tm_touch_ahead(char* from, char* end) { (void)from; (void)end; }
    #endif
    """
    char* tm_touched
    bint tm_use()
    bint tm_wants_touch()
    char* tm_untouched(char** end)
    void tm_touch_ahead(char* first, char* end) nogil

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #define tm_trim() malloc_trim(0)
    /* A block from here on is mapped by itself, and unmapped when it is freed: tables, not buffers. */
    #define TM_MAPPED_FROM (32 << 20)
    #define tm_keep() (mallopt(M_MMAP_THRESHOLD, TM_MAPPED_FROM) && mallopt(M_TRIM_THRESHOLD, -1))
    #else
    #define tm_trim() 0
    #define tm_keep() 0
    #endif
    """
    int tm_trim()
    bint tm_keep()

cdef bint used = False


def use_large_pages():
    global used
    if not used:
        used = tm_use()
    return used


def wants_touch():
    return tm_wants_touch()


def touch_ahead():
    global tm_touched
    cdef char* end = NULL
    cdef char* first = tm_untouched(&end)
    with nogil:
        tm_touch_ahead(first, end)
    tm_touched = end


def keep_freed():
    return tm_keep()


def give_back():
    """Return memory that C code has freed to the system, after work that needed much for a while."""
    tm_trim()
