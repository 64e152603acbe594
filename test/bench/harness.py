"""Processes and what is read of them: start pinned, stop by pid, CPU time, memory, system calls, load runs."""

import atexit
import ctypes
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """A run that is void; the text says why."""


class Session:
    """Everything one invocation has started or written; close() ends and removes all of it."""

    def __init__(self, proxy_core, load_core):
        self.proxy_cores = {proxy_core}
        self.load_cores = {load_core}
        self.dir = tempfile.mkdtemp(prefix="weir-bench-")
        os.chmod(self.dir, 0o755)
        self.processes = []
        self._ports = set()
        self._syscall_method = None
        atexit.register(self.close)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background jobs
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def close(self):
        self.stop_all()
        shutil.rmtree(self.dir, ignore_errors=True)

    def new_dir(self, name):
        return tempfile.mkdtemp(prefix=name + "-", dir=self.dir)

    def free_port(self):
        """A port nobody listens on, below the range the kernel gives to outgoing connections."""
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low = int(file.read().split()[0])
        while True:
            port = random.randrange(max(2000, low - 20000), low)
            if port in self._ports:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            self._ports.add(port)
            return port

    def start(self, command, cores, **keywords):
        """Starts a command pinned to `cores`; it ends with this process at the latest."""
        keywords.setdefault("stdin", subprocess.DEVNULL)

        def prepare():
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, cores)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        process = subprocess.Popen(command, preexec_fn=prepare, process_group=0, **keywords)
        self.processes.append(process)
        return process

    def start_logged(self, command, cores, directory, **keywords):
        """Like start(), with what the command prints in DIRECTORY/log."""
        with open(os.path.join(directory, "log"), "w") as log:
            process = self.start(command, cores, stdout=log, stderr=subprocess.STDOUT, **keywords)
        process.log = os.path.join(directory, "log")
        return process

    def stop(self, process, timeout=3):
        if process.poll() is None:
            tree = process_tree(process.pid)
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                for pid in tree:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()
        if process in self.processes:
            self.processes.remove(process)

    def stop_all(self):
        for process in reversed(list(self.processes)):
            self.stop(process)

    def start_tool(self, name, *arguments, cores=None, **keywords):
        """Starts one of our own programs and returns it with the JSON line it prints when ready."""
        process = self.start([tool(name), *arguments], cores or self.load_cores, stdout=subprocess.PIPE, text=True,
                             **keywords)
        return process, read_json(process, name)

    def start_origin(self, ports=1, browser=False, udp=False):
        arguments = ["--ports=%d" % ports]
        if udp:
            arguments.append("--datagrams")
        if browser:
            arguments.append("--min-head=900")  # a request that lost its fields on the way is not a fair request
        process, ready = self.start_tool("bench_origin", *arguments)
        return process, ready["ports"]

    def start_http2_origin(self, size):
        """nghttpd without TLS: /bytes/SIZE, also for what is posted, with the trailers of a gRPC call that went well."""
        root = self.new_dir("origin")
        os.mkdir(os.path.join(root, "bytes"))
        with open(os.path.join(root, "bytes", str(size)), "wb") as file:
            file.write(b"x" * size)
        port = self.free_port()
        process = self.start_logged(["nghttpd", "--no-tls", "--address=127.0.0.1", "--htdocs=" + root,
                                     "--trailer=grpc-status: 0", str(port)], self.load_cores, root)
        wait_listening(process, port, "nghttpd")
        return process, [port]

    def load(self, port, *arguments, prefix=(), cores=None):
        """One run of the load program; its report. Raises BenchError if anything at all went wrong."""
        program = [os.path.join(HERE, "http2_load.py")] if "--http2" in arguments else [tool("bench_load")]
        command = [*prefix, *program, "--port=%d" % port, *arguments]
        process = self.start(command, cores or self.load_cores, stdout=subprocess.PIPE, text=True)
        output = process.communicate()[0]
        self.stop(process)
        try:
            report = json.loads(output)
        except ValueError:
            raise BenchError("the load program ended with status %d" % process.returncode) from None
        if report["errors"]:
            raise BenchError(report["error"])
        return report

    def count_syscalls(self, pids, port, *arguments):
        """(system calls per request, how they were counted) over one run of the load program."""
        for method in (_count_with_perf, _count_with_strace, _count_reads_and_writes):
            if self._syscall_method not in (None, method):
                continue
            counted = method(self, pids, port, arguments)
            if counted is not None:
                self._syscall_method = method
                count, requests, label = counted
                return count / requests, label
        return None, "not counted"


# Each way of counting returns (system calls, requests, how), or None where it cannot be had.


def _count_with_perf(session, pids, port, arguments):
    if not shutil.which("perf"):
        return None
    path = os.path.join(session.dir, "perf.csv")
    perf = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", path, "-p", ",".join(map(str, pids)), "--"]
    try:
        report = session.load(port, *arguments, prefix=perf)
        with open(path) as file:
            for line in file:
                if "raw_syscalls" in line:
                    return int(line.split(",")[0]), report["requests"], "perf"
    except (BenchError, OSError, ValueError):
        pass
    return None


def _count_with_strace(session, pids, port, arguments):
    if not shutil.which("strace"):
        return None
    path = os.path.join(session.dir, "strace.txt")
    strace = session.start(["strace", "-c", "-f", "-o", path, *(word for pid in pids for word in ("-p", str(pid)))],
                           session.load_cores, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    if strace.poll() is not None:
        return None
    report = session.load(port, *arguments)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    session.stop(strace)
    with open(path) as file:
        for line in file:
            if line.rstrip().endswith(" total"):
                return int(line.split()[3]), report["requests"], "strace"
    return None


def _count_reads_and_writes(session, pids, port, arguments):
    def total():
        count = 0
        for pid in pids:
            with open("/proc/%d/io" % pid) as file:
                count += sum(int(value) for value in re.findall(r"sysc[rw]: (\d+)", file.read()))
        return count

    before = total()
    report = session.load(port, *arguments)
    return total() - before, report["requests"], "reads and writes only"


def tool(name):
    return os.path.join(ROOT, "build", "bench-tools", name)


def build_tools():
    """Builds our own programs; a second or two, and nothing when they are up to date."""
    build = os.path.join(ROOT, "build", "bench-tools")
    for command in (["cmake", "-S", HERE, "-B", build, "-DCMAKE_BUILD_TYPE=None"], ["cmake", "--build", build]):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode:
            raise BenchError("cannot build the benchmark programs:\n" + result.stdout)


def read_json(process, name):
    line = process.stdout.readline()
    try:
        return json.loads(line)
    except ValueError:
        raise BenchError("%s ended before it was ready" % name) from None


def wait_listening(process, port, what, seconds=10, udp=False):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError("%s ended with status %d before it listened: %s"
                             % (what, process.returncode, last_words(process)))
        if is_bound(port) if udp else can_connect(port):
            return
        time.sleep(0.02)
    raise BenchError("%s does not listen on port %d after %d s" % (what, port, seconds))


def last_words(process):
    with open(process.log) as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1][:300] if lines else "(it said nothing)"


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_bound(port):
    """Whether a UDP socket of this machine has the port."""
    with open("/proc/net/udp") as file:
        return any(line.split()[1].endswith(":%04X" % port) for line in list(file)[1:])


def process_tree(pid):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry) as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    tree = [pid]
    for member in tree:
        tree.extend(children.get(member, []))
    return tree


def cpu_ns(pids):
    """On-CPU nanoseconds of all threads of the processes so far."""
    total = 0
    for pid in pids:
        try:
            tasks = os.listdir("/proc/%d/task" % pid)
        except (FileNotFoundError, ProcessLookupError):
            raise BenchError("it ended") from None
        for task in tasks:
            try:
                with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                    total += int(file.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that has just ended
    return total


def pss_kib(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))
        except (FileNotFoundError, ProcessLookupError):
            raise BenchError("it ended") from None
    return total


def core_times(cores):
    """(busy, all) clock ticks of the cores so far."""
    busy = everything = 0
    with open("/proc/stat") as file:
        for line in file:
            words = line.split()
            if words[0][:3] == "cpu" and words[0][3:].isdigit() and int(words[0][3:]) in cores:
                ticks = [int(word) for word in words[1:9]]
                everything += sum(ticks)
                busy += sum(ticks) - ticks[3] - ticks[4]
    return busy, everything
