/* Preloaded into the harness: records what it does to the files below a directory, in the order of its ends.

   A record is one append: its kind, the lengths of what follows, an offset, a path, and bytes or a second path.
   A sync is recorded when it has returned, so nothing counts as durable too early. What is printed to
   descriptor 1 is recorded before it is printed, so nothing counts as promised too late. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
  uint32_t kind, path, more;
  uint32_t unused;
  int64_t offset;
};

static char below[PATH_MAX], place[PATH_MAX];
static size_t below_size;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *where = getenv("TORTURE_BELOW"), *record = getenv("TORTURE_RECORD");
  if (!where || !record) return;
  snprintf(below, sizeof below, "%s", where);
  snprintf(place, sizeof place, "%s", record);
  below_size = strlen(below);
}

static void put(char kind, const char *path, int64_t offset, const void *more, size_t size) {
  struct head head = {(uint32_t)kind, (uint32_t)strlen(path), (uint32_t)size, 0, offset};
  struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)more, size}};
  int saved = errno;
  long file = syscall(SYS_openat, AT_FDCWD, place, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  if (file >= 0) {
    syscall(SYS_writev, file, parts, 3);
    syscall(SYS_close, file);
  }
  errno = saved;
}

static int inside(const char *path) {
  return below_size && !strncmp(path, below, below_size) && (path[below_size] == '/' || !path[below_size]);
}

static const char *whole(int at, const char *path, char *into) {
  char link[64];
  ssize_t size;
  if (path[0] == '/') return path;
  if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
  size = readlink(link, into, PATH_MAX - 1);
  if (size < 0) return "";
  snprintf(into + size, (size_t)(PATH_MAX - size), "/%s", path);
  return into;
}

static const char *of(int file, char *into) {
  char link[64];
  ssize_t size;
  if (!below_size) return "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  size = readlink(link, into, PATH_MAX - 1);
  into[size < 0 ? 0 : size] = 0;
  return into;
}

static void put_fd(char kind, int file, int64_t offset, const void *more, size_t size) {
  char path[PATH_MAX];
  if (inside(of(file, path))) put(kind, path, offset, more, size);
}

static int opened(int file, int at, const char *path, int flags) {
  char into[PATH_MAX];
  const char *name;
  if (file < 0 || !below_size || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE) return file;
  name = whole(at, path, into);
  if (inside(name)) put('O', name, flags & O_TRUNC ? 1 : 0, "", 0);
  return file;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    mode_t mode = 0; va_list rest; REAL(name); \
    va_start(rest, flags); if (flags & O_CREAT) mode = va_arg(rest, mode_t); va_end(rest); \
    return opened(real(path, flags, mode), AT_FDCWD, path, flags); \
  }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
  int name(int at, const char *path, int flags, ...) { \
    mode_t mode = 0; va_list rest; REAL(name); \
    va_start(rest, flags); if (flags & O_CREAT) mode = va_arg(rest, mode_t); va_end(rest); \
    return opened(real(at, path, flags, mode), at, path, flags); \
  }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *data, size_t size) {
  ssize_t done;
  REAL(write);
  if (below_size && file == 1) put('A', "", 0, data, size);
  done = real(file, data, size);
  if (done > 0 && below_size && file != 1)
    put_fd('W', file, lseek(file, 0, SEEK_CUR) - done, data, (size_t)done);
  return done;
}

#define PWRITE(name, offset_t) \
  ssize_t name(int file, const void *data, size_t size, offset_t at) { \
    ssize_t done; REAL(name); \
    done = real(file, data, size, at); \
    if (done > 0) put_fd('W', file, at, data, (size_t)done); \
    return done; \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define RESIZE(name, offset_t) \
  int name(int file, offset_t size) { \
    int done; REAL(name); \
    done = real(file, size); \
    if (!done) put_fd('T', file, size, "", 0); \
    return done; \
  }
RESIZE(ftruncate, off_t)
RESIZE(ftruncate64, off64_t)

#define SYNC(name) \
  int name(int file) { \
    int done; REAL(name); \
    done = real(file); \
    if (!done) put_fd('S', file, 0, "", 0); \
    return done; \
  }
SYNC(fsync)
SYNC(fdatasync)

#define ONE(name, kind) \
  int name(const char *path) { \
    char into[PATH_MAX]; const char *full; int done; REAL(name); \
    done = real(path); \
    if (!done && inside(full = whole(AT_FDCWD, path, into))) put(kind, full, 0, "", 0); \
    return done; \
  }
ONE(unlink, 'U')
ONE(rmdir, 'U')

int unlinkat(int at, const char *path, int flags) {
  char into[PATH_MAX]; const char *full; int done; REAL(unlinkat);
  done = real(at, path, flags);
  if (!done && inside(full = whole(at, path, into))) put('U', full, 0, "", 0);
  return done;
}

int mkdir(const char *path, mode_t mode) {
  char into[PATH_MAX]; const char *full; int done; REAL(mkdir);
  done = real(path, mode);
  if (!done && inside(full = whole(AT_FDCWD, path, into))) put('D', full, 0, "", 0);
  return done;
}

int rename(const char *from, const char *to) {
  char one[PATH_MAX], two[PATH_MAX]; const char *a, *b; int done; REAL(rename);
  done = real(from, to);
  a = whole(AT_FDCWD, from, one);
  b = whole(AT_FDCWD, to, two);
  if (!done && (inside(a) || inside(b))) put('R', a, 0, b, strlen(b));
  return done;
}

static void linked(const char *from, const char *to) {
  if (inside(from) && inside(to)) put('L', from, 0, to, strlen(to));
}

int link(const char *from, const char *to) {
  char one[PATH_MAX], two[PATH_MAX]; int done; REAL(link);
  done = real(from, to);
  if (!done) linked(whole(AT_FDCWD, from, one), whole(AT_FDCWD, to, two));
  return done;
}

int linkat(int at, const char *from, int there, const char *to, int flags) {
  char one[PATH_MAX], two[PATH_MAX]; int done; REAL(linkat);
  done = real(at, from, there, to, flags);
  if (!done) linked(whole(at, from, one), whole(there, to, two));
  return done;
}
