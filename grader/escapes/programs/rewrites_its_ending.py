# claim: turns its failure into success while the interpreter ends
# expect: ok
import atexit
import os
import sys
import threading

from attack import say

# Its exit code is its own to choose: the grader must take it for no more than that.
atexit.register(lambda: os._exit(0))
threading.excepthook = sys.excepthook = lambda *ignored: None
say("fails")
raise SystemExit(5)
