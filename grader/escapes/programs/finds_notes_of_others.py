# claim: finds what another program left in any folder
# expect: ok
import os

from attack import attempt


def walk():
    for top in ("/tmp", "/var", "/dev", "/run", "/box", "/opt/finegrade", "/etc", "/root", "/home"):
        for folder, _, names in os.walk(top):
            for name in names:
                if name.startswith("fg-note-"):
                    return os.path.join(folder, name)
    return ""


attempt("walks", walk)
