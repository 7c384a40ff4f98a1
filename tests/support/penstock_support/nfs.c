/* Preloaded, it makes a folder like one on NFS, in which things go wrong.

   Locks fail below the folder NO_LOCKS_BELOW, as without a lock service. Below STALE_BELOW the call
   of the number STALE_AT fails with ESTALE, as for a file that another machine has replaced; calls
   of all processes are counted, in the file STALE_COUNT of eight bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_below(const char *path, const char *folder) {
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_open_below(int descriptor, const char *folder) {
    char link[64], path[PATH_MAX];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path, folder);
}

static int has_no_locks(int descriptor) {
    return is_open_below(descriptor, getenv("NO_LOCKS_BELOW"));
}

static int count_is_reached(void) {
    static long *count;
    const char *at = getenv("STALE_AT");
    if (!count) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int file = real(getenv("STALE_COUNT"), O_RDWR);
        if (file < 0) return 0;
        count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
    }
    if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) != atol(at)) return 0;
    errno = ESTALE;
    return 1;
}

static int is_stale(const char *path) {
    return is_below(path, getenv("STALE_BELOW")) && count_is_reached();
}

static int is_open_stale(int descriptor) {
    return is_open_below(descriptor, getenv("STALE_BELOW")) && count_is_reached();
}

#define OPENS(name, types, path, call)                                    \
    int name types {                                                             \
        va_list arguments;                                                       \
        va_start(arguments, flags);                                              \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, int) : 0; \
        va_end(arguments);                                                       \
        int (*real) types = dlsym(RTLD_NEXT, #name);                             \
        return is_stale(path) ? -1 : real call;                                  \
    }

OPENS(open, (const char *path, int flags, ...), path, (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), path, (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), path, (at, path, flags, mode))
OPENS(openat64, (int at, const char *path, int flags, ...), path, (at, path, flags, mode))

#define LOOKS(name, status)                                                      \
    int name(const char *path, struct status *found) {                           \
        int (*real)(const char *, struct status *) = dlsym(RTLD_NEXT, #name);    \
        return is_stale(path) ? -1 : real(path, found);                          \
    }

LOOKS(stat, stat)
LOOKS(lstat, stat)
LOOKS(stat64, stat64)
LOOKS(lstat64, stat64)

ssize_t read(int descriptor, void *to, size_t size) {
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return is_open_stale(descriptor) ? -1 : real(descriptor, to, size);
}

ssize_t pread64(int descriptor, void *to, size_t size, off64_t from) {
    ssize_t (*real)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
    return is_open_stale(descriptor) ? -1 : real(descriptor, to, size, from);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    return is_stale(from) ? -1 : real(from, to);
}

int flock(int descriptor, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    if (has_no_locks(descriptor)) {
        errno = ENOLCK;
        return -1;
    }
    return real(descriptor, operation);
}

static int control(const char *name, int descriptor, int command, void *argument) {
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (locks && has_no_locks(descriptor)) {
        errno = ENOLCK;
        return -1;
    }
    return real(descriptor, command, argument);
}

int fcntl(int descriptor, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return control("fcntl", descriptor, command, argument);
}

int fcntl64(int descriptor, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return control("fcntl64", descriptor, command, argument);
}
