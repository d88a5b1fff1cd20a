"""Tries every way into the data directory that it can think of, and writes what came of each to attempts.json."""
import ctypes
import json
import os
import shutil
import subprocess

with open(os.environ["RATCHET_PARAMS"]) as file:
    params = json.load(file)
data_dir, holdout, worker = params["data_dir"], params["holdout"], params["worker"]
own = os.getcwd()
step = os.path.dirname(own)
attempts = {}
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, action):
    try:
        got = action()
        attempts[name] = "done" if got is None else "done: %r" % (got,)
    except OSError as fault:
        attempts[name] = "refused"
    except subprocess.CalledProcessError:
        attempts[name] = "refused"


def read(path, dir_fd=None):
    fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
    try:
        return os.read(fd, 16)
    finally:
        os.close(fd)


def through_link():
    os.symlink(holdout, own + "/link")
    return read(own + "/link")


def by_hard_link():
    os.link(holdout, own + "/hard")
    return read(own + "/hard")


def by_rename():
    os.rename(holdout, own + "/moved")


def remounted():
    os.makedirs(own + "/mnt", exist_ok=True)
    if libc.mount(data_dir.encode(), (own + "/mnt").encode(), None, 4096, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return os.listdir(own + "/mnt")


def remounted_writable(folder):
    if libc.mount(None, folder.encode(), None, 0x1020, None) != 0:  # MS_REMOUNT | MS_BIND, and no MS_RDONLY
        raise OSError(ctypes.get_errno(), "mount")
    os.close(os.open(folder + "/result.json", os.O_WRONLY | os.O_CREAT))


def forged_in_new_namespace():
    if libc.unshare(0x10000000 | 0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    while libc.umount2(step.encode(), 2) == 0:
        pass
    try:
        remounted_writable(step)
    except OSError:
        os.close(os.open(step + "/result.json", os.O_WRONLY | os.O_CREAT))


def uncovered():
    if libc.umount2(data_dir.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), "umount")
    return read(holdout)


def in_new_namespace():
    if libc.unshare(0x10000000 | 0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return uncovered()


def by_child(command):
    return subprocess.run(command, check=True, capture_output=True).stdout[:16]


def by_trace(process):
    if libc.ptrace(16, process, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def changed_root():
    os.chroot(data_dir)


def forked(action):
    """In a process of its own, whose root and namespaces nobody else needs."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except OSError:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("refused")


attempt("open the holdout", lambda: read(holdout))
attempt("open it by a relative path", lambda: read(os.path.relpath(holdout, own)))
attempt("open it from the root", lambda: read("/../.." + holdout))
attempt("open registry.db", lambda: read(data_dir + "/registry.db"))
attempt("write registry.db", lambda: os.close(os.open(data_dir + "/registry.db", os.O_WRONLY)))
attempt("open another run's file", lambda: read(params["other_run"]))
attempt("list the data directory", lambda: os.listdir(data_dir))
attempt("list the runs", lambda: os.listdir(data_dir + "/runs"))
attempt("list its own run", lambda: os.listdir(os.path.dirname(step)))
attempt("make a file in the data directory", lambda: os.close(os.open(data_dir + "/new", os.O_WRONLY | os.O_CREAT)))
attempt("remove the holdout", lambda: os.unlink(holdout))
for name in ("step.json", "result.json", "log", "progress.jsonl", "bundle/manifest.json", "bundle/model.pt"):
    attempt("write the step's " + name, lambda: os.close(os.open(step + "/" + name, os.O_WRONLY | os.O_CREAT)))
    attempt("remove the step's " + name, lambda: os.unlink(step + "/" + name))
attempt("link step.json to where it may write", lambda: os.link(step + "/step.json", own + "/step.json"))
attempt("the memory of its parent", lambda: read("/proc/%d/mem" % os.getppid()))
attempt("the step's folder by its parent",
        lambda: os.close(os.open("/proc/%d/root%s/result.json" % (os.getppid(), step), os.O_WRONLY | os.O_CREAT)))
attempt("the step's folder by its parent's working folder",
        lambda: os.close(os.open("/proc/%d/cwd/result.json" % os.getppid(), os.O_WRONLY | os.O_CREAT)))
attempt("a symbolic link", through_link)
attempt("a hard link", by_hard_link)
attempt("a rename", by_rename)
attempt("a copy by a child process", lambda: by_child(["/bin/cat", holdout]))
attempt("shutil.copy", lambda: shutil.copy(holdout, own + "/copy"))
attempt("the root of its parent", lambda: read("/proc/%d/root%s" % (os.getppid(), data_dir + "/registry.db")))
attempt("the root of the worker", lambda: read("/proc/%d/root%s" % (worker, holdout)))
attempt("the working folder of the worker", lambda: os.listdir("/proc/%d/cwd/" % worker))
for fd in os.listdir("/proc/%d/fd" % worker):  # their numbers are no secret, what they stand for is
    attempt("descriptor %s of the worker" % fd, lambda: os.close(os.open("/proc/%d/fd/%s" % (worker, fd), os.O_RDONLY)))
    attempt("what descriptor %s of the worker is" % fd, lambda: os.readlink("/proc/%d/fd/%s" % (worker, fd)))
attempt("the memory of the worker", lambda: read("/proc/%d/mem" % worker))
attempt("its own root", lambda: read("/proc/self/root" + holdout))
if not params["gently"]:  # without a sandbox these would stop the worker or leave marks on the machine
    attempt("tracing the worker", lambda: by_trace(worker))
    attempt("put a file in the step's folder", lambda: os.rename(os.environ["RATCHET_PARAMS"], step + "/result.json"))
    attempt("move the work folder", lambda: os.rename(own, step + "/else"))
    attempt("replace the checkpoint", lambda: os.rename(os.environ["RATCHET_CHECKPOINT"], own + "/checkpoint"))
    attempt("replace the bundle", lambda: os.rename(step + "/bundle", own + "/bundle"))
    attempt("put a fifo in the step's folder", lambda: os.mkfifo(step + "/result.json"))
    attempt("tracing its parent", lambda: by_trace(os.getppid()))
    attempt("a mount over the step's folder", lambda: remounted_writable(step))
    attempt("a mount", remounted)
    attempt("an unmount", uncovered)
    attempt("chroot", lambda: forked(changed_root))
    attempt("an unmount in new namespaces", lambda: forked(in_new_namespace))
    attempt("forging a result in new namespaces", lambda: forked(forged_in_new_namespace))

allowed = {}
for name, action in {
    "read its input": lambda: read(os.environ["RATCHET_TRAIN"]),
    "list its folder": lambda: os.listdir(own),
    "write its checkpoint": lambda: open(os.environ["RATCHET_CHECKPOINT"] + "/state", "w").close(),
    "tell its progress": lambda: open(os.environ["RATCHET_PROGRESS"], "w").close(),
    "write its output": lambda: open(os.environ["RATCHET_OUT"] + "/mine", "w").close(),
    "write its folder": lambda: os.close(os.open(own + "/mine", os.O_WRONLY | os.O_CREAT)),
    "write its temporary folder": lambda: open(os.environ["TMPDIR"] + "/mine", "w").close(),
    "read a file outside": lambda: read(params["outside"]),
    "list the home": lambda: os.listdir(os.path.expanduser("~")),
    "run a program": lambda: by_child(["/bin/echo", "hello"]),
    "write /dev/null": lambda: by_child(["/bin/sh", "-c", "echo hello > /dev/null"]),
}.items():
    try:
        action()
        allowed[name] = True
    except Exception as fault:
        allowed[name] = repr(fault)

outside = {}
attempts, kept = outside, attempts
attempt("write outside", lambda: os.close(os.open(params["outside"], os.O_WRONLY)))
attempt("signal the worker", lambda: os.kill(worker, 0))
attempts = kept
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
with open(own + "/attempts.json", "w") as file:
    json.dump({"attempts": attempts, "allowed": allowed, "outside": outside, "environment": dict(os.environ),
               "descriptors": fds}, file)
