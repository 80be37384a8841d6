/* The smallest ordinary child: a static C program, whose cost is libc's own start-up. */
int main(void) {
  return 0;
}
