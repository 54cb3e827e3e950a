# claim: reads and writes the store of evidence
# expect: ok
import os
import sqlite3

from attack import T, attempt, secret_in

store = T["evidence"]
attempt("read", secret_in, store)
attempt("write", lambda: os.close(os.open(store, os.O_WRONLY)))
attempt("make beside", lambda: os.close(os.open(store + "-wal", os.O_CREAT | os.O_RDWR)))
attempt("as a database", lambda: sqlite3.connect(f"file:{store}?mode=rw", uri=True).total_changes)
attempt("remove", os.unlink, store)
attempt("replace", lambda: (open("mine", "w").close(), os.rename("mine", store)))
