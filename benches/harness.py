"""What the benchmarks share: a broker, what a process used, and tables."""

import atexit
import dataclasses
import filecmp
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OURS = TARGET / "release" / "streams-to-parquet"
VENV = TARGET / "venv-benches"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "benches" / "requirements.txt"
TICKS = os.sysconf("SC_CLK_TCK")
# A run that takes longer than this, in seconds, is given up.
LONGEST = 1200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """One Kafka broker on loopback, stopped by its process id."""

    def __init__(self, folder: pathlib.Path):
        port, control = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        settings = folder / "server.properties"
        settings.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{control}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
controller.listener.names=CONTROLLER
log.dirs={folder}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""
        )
        classes = str(TARGET / "kafka" / "*")
        subprocess.run(
            ["java", "-cp", classes, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", settings],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.log = open(folder / "broker.log", "wb")
        self.process = subprocess.Popen(
            ["java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", classes, "kafka.Kafka", settings],
            stdout=self.log, stderr=self.log,
        )

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def started() -> tuple[Broker, pathlib.Path]:
    """A broker and a folder for outputs; both are gone when this process ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="benchmark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    broker = Broker(folder)
    atexit.register(broker.stop)
    # An end by signal is an end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return broker, folder


@dataclasses.dataclass
class Used:
    """What a process used: seconds of the wall and of CPU (user and system), MiB at the peak, what it printed."""

    wall: float
    cpu: float
    peak: float
    output: str
    # CPU seconds by the names of its threads, as far as they were seen.
    threads: dict[str, float]


def sample(pid: int, threads: dict[int, tuple[str, float]]) -> None:
    """Notes the CPU seconds of each thread."""
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            stat = pathlib.Path(task.path, "stat").read_text()
            name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            threads[int(task.name)] = (name, (int(fields[11]) + int(fields[12])) / TICKS)
    except (FileNotFoundError, ProcessLookupError):
        pass


def used_by(command: list) -> Used:
    """Runs a command, and says what its process alone used."""
    command = list(map(str, command))
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=ROOT)
        threads: dict[int, tuple[str, float]] = {}
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - began > LONGEST:
                process.kill()
            sample(process.pid, threads)
            time.sleep(0.02)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (output, errors):
            stream.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{errors.read()[-2000:]}")
        by_name: dict[str, float] = {}
        for name, seconds in threads.values():
            by_name[name] = by_name.get(name, 0) + seconds
        return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.read(), by_name)


def fetch() -> None:
    """Makes the Python environment of the benchmarks."""
    known = VENV / "requirements.txt"
    if known.exists() and filecmp.cmp(REQUIREMENTS, known, shallow=False):
        return
    venv.create(VENV, clear=True, with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS], check=True)
    shutil.copy(REQUIREMENTS, known)


def fill(broker: Broker, topic: str, events: int, partitions: int) -> None:
    """Fills a topic with the real events of the tests."""
    command = [PYTHON, ROOT / "benches" / "events.py", broker.address, topic, str(events), str(partitions)]
    for _ in range(20):
        made = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if made.returncode == 0:
            return
        time.sleep(1)
    sys.exit(made.stderr)


def ours(broker: Broker, topic: str, group: str, output: pathlib.Path, *flags: str, program: pathlib.Path = OURS) -> list:
    """The command of a bounded run of ours."""
    where = ["--brokers", broker.address, "--topic", topic, "--group", group, "--output", output]
    return [program, "run", *where, "--until-end", "--log", "warn", *flags]


HEADER = f"{'':<28} {'events/s':>10} {'CPU s / 1 M':>12} {'peak MiB':>9} {'wall s':>7}"


def row(name: str, events: int, used: Used) -> str:
    rate, cpu = events / used.wall, used.cpu / events * 1e6
    return f"{name:<28} {rate:>10,.0f} {cpu:>12.2f} {used.peak:>9.0f} {used.wall:>7.1f}"
