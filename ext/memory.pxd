cdef extern from *:
    """
    #include <stdint.h>
    #include <stddef.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    #define TM_LARGE_PAGE ((size_t)2 << 20)
    /* Ask for large pages where a block holds any: a request that the system may decline, and nothing else changes. */
    static inline void tm_in_large_pages(void* block, size_t size) {
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        uintptr_t from = ((uintptr_t)block + TM_LARGE_PAGE - 1) & ~(TM_LARGE_PAGE - 1);
        uintptr_t to = ((uintptr_t)block + size) & ~(TM_LARGE_PAGE - 1);
        if (block && from < to) (void)madvise((void*)from, to - from, MADV_HUGEPAGE);
    #else
        (void)block; (void)size;
    #endif
    }
    """
    void in_large_pages "tm_in_large_pages" (void* block, size_t size) noexcept nogil
