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

    #include <stdlib.h>
    #include <string.h>
    /* A table of zeros, and its end. A large one does not come from the heap, where calloc would clear what others left:
       its pages are clear when they are first touched. NULL: no memory. */
    static inline void* tm_zeros(size_t size) {
    #if defined(__linux__)
        if (size >= TM_LARGE_PAGE / 2) {
            void* block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block == MAP_FAILED) return NULL;
            tm_in_large_pages(block, size);
            return block;
        }
    #endif
        return calloc(size, 1);
    }
    static inline void tm_free_zeros(void* block, size_t size) {
    #if defined(__linux__)
        if (size >= TM_LARGE_PAGE / 2) {
            if (block) munmap(block, size);
            return;
        }
    #endif
        (void)size;
        free(block);
    }
    static inline void tm_touch(void* block, size_t from, size_t to) {
        size_t at;
        for (at = (from + 4095) & ~(size_t)4095; at < to; at += 4096) *(volatile char*)((char*)block + at) = 0;
    }

    #if defined(__linux__) && defined(MREMAP_FIXED)
    /* Address space of an array of this size: 2 MiB times a power of four. Pages are taken as they are touched. */
    static inline size_t tm_space(size_t size) {
        size_t space = TM_LARGE_PAGE;
        while (space < size) space *= 4;
        return space;
    }
    static inline void* tm_reserve(size_t size) {
        char* block = (char*)mmap(NULL, size + TM_LARGE_PAGE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        size_t before;
        if (block == (char*)MAP_FAILED) return NULL;
        before = (TM_LARGE_PAGE - ((uintptr_t)block & (TM_LARGE_PAGE - 1))) & (TM_LARGE_PAGE - 1);
        if (before) munmap(block, before);
        if (before < TM_LARGE_PAGE) munmap(block + before + size, TM_LARGE_PAGE - before);
        tm_in_large_pages(block + before, size);
        return block + before;
    }
    #endif
    /* An array with more room, what it holds being kept. A large one stays where it is until it is four times as large,
       and then its pages move whole: realloc would move it with every growth and split large pages for that. */
    static inline void* tm_extend(void* array, size_t size, size_t wanted) {
    #if defined(__linux__) && defined(MREMAP_FIXED)
        void* moved;
        if (wanted >= TM_LARGE_PAGE) {
            if (size >= TM_LARGE_PAGE && tm_space(size) >= wanted) return array;
            moved = tm_reserve(tm_space(wanted));
            if (moved == NULL) return NULL;
            if (size < TM_LARGE_PAGE) {
                if (size) memcpy(moved, array, size);
                free(array);
                return moved;
            }
            return mremap(array, tm_space(size), tm_space(size), MREMAP_MAYMOVE | MREMAP_FIXED, moved) == MAP_FAILED
                ? NULL : moved;
        }
    #endif
        (void)size;
        return realloc(array, wanted);
    }
    static inline void tm_free_array(void* array, size_t size) {
    #if defined(__linux__) && defined(MREMAP_FIXED)
        if (size >= TM_LARGE_PAGE) {
            munmap(array, tm_space(size));
            return;
        }
    #endif
        (void)size;
        free(array);
    }
    """
    void* extended "tm_extend" (void* array, size_t size, size_t wanted) noexcept nogil
    void free_array "tm_free_array" (void* array, size_t size) noexcept nogil
    void in_large_pages "tm_in_large_pages" (void* block, size_t size) noexcept nogil
    void* zeros "tm_zeros" (size_t size) noexcept nogil
    void free_zeros "tm_free_zeros" (void* block, size_t size) noexcept nogil
    void touch_pages "tm_touch" (void* block, size_t from_, size_t to) noexcept nogil
