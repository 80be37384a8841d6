// Sends the signal of the second argument to the process (or, below zero, the group) of the first
// until the end of its stdin, then writes how many it has sent. Queued ones are waited for.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 3 || fcntl(0, F_SETFL, O_NONBLOCK) != 0) {
    return 2;
  }
  const pid_t target = (pid_t)atoi(argv[1]);
  const int number = atoi(argv[2]);
  const union sigval value = {0};
  unsigned long sent = 0;
  char byte;
  signal(number, SIG_IGN); // it may be a member of the group itself
  while (read(0, &byte, 1) < 0 && errno == EAGAIN) {
    const int result = target < 0 ? kill(target, number) : sigqueue(target, number, value);
    if (result == 0) {
      ++sent;
    }
    sched_yield();
  }
  printf("%lu\n", sent);
  return 0;
}
