# capture PROGRAM...: keeps what it writes.
import subprocess
import sys

subprocess.check_output(sys.argv[1:])
