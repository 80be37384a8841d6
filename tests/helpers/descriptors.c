// Writes a line for each open descriptor, "number device:inode access-mode non-blocking", to the
// descriptor given as the first argument (stdout without one). With a second argument it then waits
// for the end of its stdin.

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[1 << 20];

int main(int argc, char** argv) {
  const int report = argc > 1 ? atoi(argv[1]) : 1;
  DIR* const open_ones = opendir("/proc/self/fd");
  if (open_ones == NULL) {
    return 2;
  }
  size_t size = 0;
  for (struct dirent* entry; (entry = readdir(open_ones)) != NULL;) {
    char* end = NULL;
    const int number = (int)strtol(entry->d_name, &end, 10);
    struct stat about;
    if (end == entry->d_name || *end != '\0' || number == dirfd(open_ones) ||
        fstat(number, &about) != 0) {
      continue;
    }
    const int flags = fcntl(number, F_GETFL);
    size += (size_t)snprintf(text + size, sizeof text - size, "%d %lu:%lu %d %d\n", number,
                             (unsigned long)about.st_dev, (unsigned long)about.st_ino,
                             flags & O_ACCMODE, (flags & O_NONBLOCK) != 0);
  }
  for (size_t done = 0; done < size;) {
    const ssize_t n = write(report, text + done, size - done);
    if (n < 0) {
      return 3;
    }
    done += (size_t)n;
  }
  if (argc > 2) {
    close(report);
    while (read(0, text, sizeof text) > 0) {
    }
  }
  return 0;
}
