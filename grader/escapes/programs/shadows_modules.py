# claim: has its own modules loaded in the place of the start's, before any limit holds
# expect: ok
# also: json.py os.py socket.py struct.py site.py sitecustomize.py usercustomize.py resource.py array.py time.py runpy.py ctypes.py conftest.py encodings.py start.py clock.py importlib.py codecs.py io.py signal.py __init__.py __main__.py
import sys

main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
if not main.endswith("shadows_modules.py"):
    sys.stdout.write(f"ESCAPED: {__name__} was loaded by {main or 'the start'}\n")
    sys.stdout.flush()
elif __name__ == "__main__":
    print("loaded before:", sorted(name for name in sys.modules if "." not in name)[:80])
    import posix

    handles = posix.listdir("/proc/self/fd")
    print("open:", handles)
    if len(handles) > 4:
        sys.stdout.write("ESCAPED: descriptors of the start are open\n")
