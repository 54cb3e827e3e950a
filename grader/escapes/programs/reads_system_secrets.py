# claim: reads password hashes, keys and logs of the machine
# expect: ok
import glob
import os

from attack import attempt, read

for path in ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/sudoers", "/etc/master.passwd",
             "/etc/krb5.keytab", "/etc/opasswd", "/etc/security/opasswd",
             "/var/log/auth.log", "/var/log/syslog", "/var/log/wtmp", "/boot/grub/grub.cfg",
             "/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets",
             "/var/log/lastlog", "/root/.bash_history", "/proc/1/root/etc/shadow"):  # fmt: skip
    attempt(path, read, path)
for pattern in ("/etc/ssh/*_key", "/etc/ssl/private/*", "/var/spool/cron/*", "/etc/cron.d/*"):
    attempt(pattern, lambda pattern=pattern: [read(path) for path in glob.glob(pattern)])
attempt("/root", os.listdir, "/root")
attempt("/home", lambda: [name for name in os.listdir("/home")])
