/* A disk with faults, for LD_PRELOAD. The environment says which:
 *
 * FAULT_FOLDER     the faults are those of files in this folder
 * FAULT_QUOTA      bytes after which nothing more can be written there (EDQUOT)
 * FAULT_READ_ONLY  nothing there can be opened for writing (EROFS)
 * FAULT_NO_LOCKS   no file anywhere can be locked (ENOSYS)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static long written;

static int is_there(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_over_quota(int descriptor, size_t count) {
    const char *quota = getenv("FAULT_QUOTA");
    char link[64], path[PATH_MAX];
    if (!quota) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!is_there(path)) return 0;
    written += count;
    return written > atol(quota);
}

ssize_t write(int descriptor, const void *data, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (is_over_quota(descriptor, count)) { errno = EDQUOT; return -1; }
    return real(descriptor, data, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    static ssize_t (*real)(int, const struct iovec *, int);
    size_t count = 0;
    if (!real) real = dlsym(RTLD_NEXT, "writev");
    for (int i = 0; i < number; i++) count += parts[i].iov_len;
    if (is_over_quota(descriptor, count)) { errno = EDQUOT; return -1; }
    return real(descriptor, parts, number);
}

static int refuses(const char *path, int flags) {
    if (!getenv("FAULT_READ_ONLY") || !(flags & (O_WRONLY | O_RDWR | O_CREAT)) || !is_there(path)) return 0;
    errno = EROFS;
    return 1;
}

#define OPEN(NAME)                                                       \
    int NAME(const char *path, int flags, ...) {                         \
        static int (*real)(const char *, int, ...);                      \
        va_list rest;                                                    \
        va_start(rest, flags);                                           \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest);                                                    \
        if (!real) real = dlsym(RTLD_NEXT, #NAME);                       \
        return refuses(path, flags) ? -1 : real(path, flags, mode);      \
    }

OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
    static int (*real)(const char *, mode_t);
    if (!real) real = dlsym(RTLD_NEXT, "mkdir");
    return refuses(path, O_CREAT) ? -1 : real(path, mode);
}

int flock(int descriptor, int operation) {
    static int (*real)(int, int);
    if (!real) real = dlsym(RTLD_NEXT, "flock");
    if (getenv("FAULT_NO_LOCKS")) { errno = ENOSYS; return -1; }
    return real(descriptor, operation);
}
