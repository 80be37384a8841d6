# fan_out N PROGRAM: PROGRAM for each line of stdin, by N threads with subprocess.
import concurrent.futures
import subprocess
import sys

threads, program = int(sys.argv[1]), sys.argv[2]
with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    for _ in pool.map(lambda line: subprocess.check_call([program, line.rstrip()]), sys.stdin):
        pass
