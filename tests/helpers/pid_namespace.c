// Runs the program given as arguments as the first process of a new pid namespace with a /proc of its
// own, and exits as it does. 77: that is not allowed here.

#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2 || unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    return 77;
  }
  const pid_t first = fork();
  if (first < 0) {
    return 77;
  }
  if (first == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount("proc", "/proc", "proc", 0, NULL) != 0) {
      _exit(77);
    }
    execv(argv[1], argv + 1);
    _exit(127);
  }
  int status = 0;
  if (waitpid(first, &status, 0) != first) {
    return 78;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
