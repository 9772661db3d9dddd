/* Loaded before the C library: writes down what LMDB does to its data files, in order, with the bytes written.

   Each record: kind (1 byte), file (1 byte: j or c), offset and length (8 bytes each, native), then the bytes.
   Kinds: W write, D write that is durable when it returns (O_DSYNC), S sync, T truncate (the offset is the size),
   Y a sync of mapped memory (LMDB does that only with `writemap`). The log is named by FILE_CALLS_LOG. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int log_descriptor(void) {
    static int descriptor = -1;
    const char *path = getenv("FILE_CALLS_LOG");
    if (descriptor < 0 && path) descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return descriptor;
}

static char file_of(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strstr(path, "/journal/data.mdb")) return 'j';
    return strstr(path, "/checkpoints/data.mdb") ? 'c' : 0;
}

static void note(char kind, char file, int64_t offset, const struct iovec *parts, int count) {
    char head[18];
    uint64_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    head[0] = kind;
    head[1] = file;
    memcpy(head + 2, &offset, 8);
    memcpy(head + 10, &length, 8);
    struct iovec all[1025] = {{head, sizeof head}};
    if (count > 1024 || log_descriptor() < 0) abort();
    if (count) memcpy(all + 1, parts, count * sizeof *parts);
    if (REAL(writev)(log_descriptor(), all, count + 1) != (ssize_t)(length + sizeof head)) abort();
}

static char write_kind(int descriptor) {
    return fcntl(descriptor, F_GETFL) & O_DSYNC ? 'D' : 'W';
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    char file = file_of(descriptor);
    struct iovec part = {(void *)data, size};
    if (file) note(write_kind(descriptor), file, offset, &part, 1);
    return REAL(pwrite)(descriptor, data, size, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off_t offset) {
    return pwrite(descriptor, data, size, offset);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    char file = file_of(descriptor);
    struct iovec part = {(void *)data, size};
    if (file) note(write_kind(descriptor), file, lseek(descriptor, 0, SEEK_CUR), &part, 1);
    return REAL(write)(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    char file = file_of(descriptor);
    if (file) note(write_kind(descriptor), file, lseek(descriptor, 0, SEEK_CUR), parts, count);
    return REAL(writev)(descriptor, parts, count);
}

int fdatasync(int descriptor) {
    int done = REAL(fdatasync)(descriptor);
    char file = file_of(descriptor);
    if (file) note('S', file, 0, NULL, 0);
    return done;
}

int fsync(int descriptor) {
    int done = REAL(fsync)(descriptor);
    char file = file_of(descriptor);
    if (file) note('S', file, 0, NULL, 0);
    return done;
}

int ftruncate(int descriptor, off_t size) {
    char file = file_of(descriptor);
    if (file) note('T', file, size, NULL, 0);
    return REAL(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off_t size) { return ftruncate(descriptor, size); }

int msync(void *address, size_t length, int flags) {
    note('Y', 'j', 0, NULL, 0);
    return REAL(msync)(address, length, flags);
}
