# claim: reads keys, tokens and histories in home folders
# expect: ok
import glob
import os

from attack import T, attempt, read

homes = {T["home"], "/root", *glob.glob("/home/*"), *glob.glob("/Users/*")}
homes |= {os.path.expanduser("~root"), os.path.expanduser("~")}
names = (".ssh/id_rsa", ".ssh/id_ed25519", ".ssh/authorized_keys", ".ssh/config", ".netrc",
         ".aws/credentials", ".git-credentials", ".config/gh/hosts.yml", ".bash_history",
         ".python_history", ".docker/config.json", ".kube/config", ".pypirc", ".npmrc",
         ".cache/huggingface/token", ".gnupg/secring.gpg", ".bashrc", ".profile")  # fmt: skip
for home in sorted(homes - {"/", os.environ.get("HOME"), os.getcwd()}):
    attempt(home, os.listdir, home)
    for name in names:
        attempt(name, read, os.path.join(home, name))
