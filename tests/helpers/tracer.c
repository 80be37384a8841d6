// Traces the process given by its number, as a debugger does. Says "attached"; says "dead" when the
// process has ended; and holds the dead one back from its parent until the end of its own stdin.

#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char* text, size_t size) {
  if (write(1, text, size) < 0) {
    _exit(3);
  }
}

int main(int argc, char** argv) {
  const pid_t pid = argc > 1 ? (pid_t)atoi(argv[1]) : 0;
  if (pid <= 0 || ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) {
    say("refused\n", 8);
    return 2;
  }
  say("attached\n", 9);
  siginfo_t info;
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0) {
    return 4;
  }
  say("dead\n", 5);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  return waitpid(pid, NULL, 0) == pid ? 0 : 5;
}
