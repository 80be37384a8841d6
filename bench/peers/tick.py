#!/usr/bin/python3
# The ticks of an asyncio loop that spawns; see ../serve.hpp for the protocol.
import asyncio
import mmap
import platform
import sys
import time


class Ticker:
    """As ticker.hpp has it."""

    def __init__(self):
        self.ticks = []
        self.arm()

    def arm(self):
        self.armed = time.monotonic_ns()
        self.timer = asyncio.get_running_loop().call_later(0.001, self.fire)

    def fire(self):
        self.ticks.append(time.monotonic_ns() - self.armed)
        self.arm()


async def tick(program, count):
    ticker = Ticker()
    for _ in range(count):
        child = await asyncio.create_subprocess_exec(program)
        if await child.wait() != 0:
            raise RuntimeError("the child failed")
    ticker.timer.cancel()
    return ticker.ticks


def touch(size):
    """Small pages, each written, as touched_memory of serve.hpp has them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, size, mmap.PAGESIZE):
        memory[at] = 1
    return memory


def answer(line):
    global touched
    verb, *rest = line.split(maxsplit=3)
    if verb == "touch":
        touched = touch(int(rest[0])) if int(rest[0]) else None
        return []
    if verb != "run":
        raise ValueError("no such request: " + verb)
    return asyncio.run(tick(rest[2], int(rest[1])))


print("hello Python", platform.python_version(), flush=True)
for line in iter(sys.stdin.readline, ""):
    try:
        ticks = answer(line.rstrip("\n"))
        print("ok", len(ticks), *(f"\n{one} 0" for one in ticks), sep=" ", flush=True)
    except Exception as problem:
        print("error", problem, flush=True)
