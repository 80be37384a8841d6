// A leader and a member, for stops: family LEADER MEMBER [WHERE]
//
//   LEADER  obeys (dies of SIGTERM), ignores (it), leaves (exits with 0 once the member is ready)
//   MEMBER  obeys, ignores
//   WHERE   group (the member moves to a group of its own), session (to a session of its own)
//
// Writes the member's pid and a newline when both are ready. Both hold stdout until they die.

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int is(const char* word, const char* what) { return word && strcmp(word, what) == 0; }

int main(int argc, char** argv) {
  if (argc < 3) {
    return 2;
  }
  const char* const where = argc > 3 ? argv[3] : NULL;
  int ready[2];
  if (pipe(ready) != 0) {
    return 2;
  }
  const pid_t member = fork();
  if (member == 0) {
    if (is(argv[2], "ignores")) {
      signal(SIGTERM, SIG_IGN);
    }
    if ((is(where, "group") && setpgid(0, 0) != 0) || (is(where, "session") && setsid() < 0)) {
      _exit(2);
    }
    close(ready[0]);
    close(ready[1]);
    for (;;) {
      pause();
    }
  }
  if (member < 0) {
    return 2;
  }
  if (is(argv[1], "ignores")) {
    signal(SIGTERM, SIG_IGN);
  }
  close(ready[1]);
  char byte;
  while (read(ready[0], &byte, 1) > 0) {
  }
  close(ready[0]);
  printf("%d\n", (int)member);
  fflush(stdout);
  if (is(argv[1], "leaves")) {
    _exit(0);
  }
  for (;;) {
    pause();
  }
}
