// Lives until a signal ends it. Linked without libc's start-up.

#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void _start(void);

void _start(void) {
  for (;;) {
    syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
  }
}
