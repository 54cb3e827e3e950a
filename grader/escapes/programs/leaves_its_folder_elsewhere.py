# claim: puts another folder or a link in the place of the working folder
# expect: ok
import os

from attack import T, attempt

here = os.getcwd()
attempt("moves it", os.rename, here, here + "2")
attempt("removes it", os.rmdir, here)
attempt("a link in its place", os.symlink, os.path.dirname(T["hidden"]), here)
attempt("makes it bare", lambda: (os.chmod(here, 0o000), False)[1])
attempt("opens it", lambda: (os.chmod(here, 0o777), False)[1])
attempt("closes it", lambda: (os.chmod(here, 0o000), False)[1])
