/* Preloaded into one process: kills it right before an operation, counted, below a directory.

   TORTURE_STRIKE is "KIND NUMBER DIRECTORY": `o` counts what is opened there, `c` each change of the disk. What
   the process starts is not counted: the variables are gone before it begins. The process itself may ask for
   another number, from when on it counts anew. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static char kind, below[PATH_MAX];
static size_t below_size;
static long number, counted;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *strike = getenv("TORTURE_STRIKE");
  if (strike && sscanf(strike, "%c %ld %4095[^\n]", &kind, &number, below) == 3) below_size = strlen(below);
  unsetenv("LD_PRELOAD");
  unsetenv("TORTURE_STRIKE");
}

void strike_at(long next) {
  number = next;
  counted = 0;
}

static void count(char what, const char *path) {
  if (what != kind || strncmp(path, below, below_size) || (path[below_size] != '/' && path[below_size])) return;
  if (__atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST) != number) return;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void at(char what, int directory, const char *path) {
  char link[64], into[2 * PATH_MAX];
  ssize_t size;
  if (!below_size || what != kind) return;
  if (path && path[0] == '/') { count(what, path); return; }
  if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  size = readlink(link, into, PATH_MAX - 1);
  if (size < 0) return;
  if (path) snprintf(into + size, sizeof into - (size_t)size, "/%s", path);
  else into[size] = 0;
  count(what, into);
}

static void opening(int directory, const char *path, int flags) {
  at('o', directory, path);
  if (flags & (O_CREAT | O_TRUNC)) at('c', directory, path);
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    mode_t mode = 0; va_list rest; REAL(name); \
    va_start(rest, flags); if (flags & (O_CREAT | __O_TMPFILE)) mode = va_arg(rest, mode_t); va_end(rest); \
    opening(AT_FDCWD, path, flags); \
    return real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    mode_t mode = 0; va_list rest; REAL(name); \
    va_start(rest, flags); if (flags & (O_CREAT | __O_TMPFILE)) mode = va_arg(rest, mode_t); va_end(rest); \
    opening(directory, path, flags); \
    return real(directory, path, flags, mode); \
  }
OPENAT(openat)
OPENAT(openat64)

#define CHANGE(type, name, parameters, directory, path, arguments) \
  type name parameters { REAL(name); at('c', directory, path); return real arguments; }

CHANGE(ssize_t, write, (int file, const void *data, size_t size), file, NULL, (file, data, size))
CHANGE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t to), file, NULL, (file, data, size, to))
CHANGE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t to), file, NULL, (file, data, size, to))
CHANGE(int, ftruncate, (int file, off_t size), file, NULL, (file, size))
CHANGE(int, ftruncate64, (int file, off64_t size), file, NULL, (file, size))
CHANGE(int, fsync, (int file), file, NULL, (file))
CHANGE(int, fdatasync, (int file), file, NULL, (file))
CHANGE(int, fchmod, (int file, mode_t mode), file, NULL, (file, mode))
CHANGE(int, futimens, (int file, const struct timespec times[2]), file, NULL, (file, times))
CHANGE(int, unlink, (const char *path), AT_FDCWD, path, (path))
CHANGE(int, rmdir, (const char *path), AT_FDCWD, path, (path))
CHANGE(int, unlinkat, (int directory, const char *path, int flags), directory, path, (directory, path, flags))
CHANGE(int, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
CHANGE(int, mkdirat, (int directory, const char *path, mode_t mode), directory, path, (directory, path, mode))
CHANGE(int, chmod, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
CHANGE(int, fchmodat, (int directory, const char *path, mode_t mode, int flags), directory, path,
       (directory, path, mode, flags))
CHANGE(int, utimensat, (int directory, const char *path, const struct timespec times[2], int flags), directory, path,
       (directory, path, times, flags))
CHANGE(int, symlink, (const char *to, const char *path), AT_FDCWD, path, (to, path))
CHANGE(int, symlinkat, (const char *to, int directory, const char *path), directory, path, (to, directory, path))
CHANGE(int, rename, (const char *from, const char *to), AT_FDCWD, to, (from, to))
CHANGE(int, renameat, (int from_at, const char *from, int to_at, const char *to), to_at, to, (from_at, from, to_at, to))
CHANGE(int, link, (const char *from, const char *to), AT_FDCWD, to, (from, to))
CHANGE(int, linkat, (int from_at, const char *from, int to_at, const char *to, int flags), to_at, to,
       (from_at, from, to_at, to, flags))
