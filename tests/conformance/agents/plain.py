#!/usr/bin/env python3
"""A whole agent without the SDK, on the standard library alone: it keeps the contract.

The mutants of tests/conformance/mutants.py are this text with one piece of it replaced.
"""

# Without pathlib it starts sooner; what nobody else catches, it has to.
# ruff: noqa: BLE001, PTH103, PTH104, PTH106, PTH110, PTH112, PTH118, PTH123, PTH202, PTH208
import base64
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import sys
import tarfile
import threading
import time
import traceback
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

NAME, VERSION = "agent-plain", "1.0.0"
ROLES = ["snapshot"]
UUID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "BAQUP_JOB_ID": {"type": "string", "pattern": f"^{UUID}$"},
        "BAQUP_JOB_TIMEOUT": {"type": "integer", "minimum": 1, "default": 3600},
        "BAQUP_AGENT_HEARTBEAT_INTERVAL": {"type": "integer", "minimum": 1, "default": 10},
        "BAQUP_AGENT_LOG_LEVEL": {
            "enum": ["trace", "debug", "info", "warn", "error", "fatal"],
            "default": "info",
        },
        "BAQUP_STAGING_DIR": {"type": "string", "minLength": 1},
        "BAQUP_BUS_URL": {"type": "string", "minLength": 1},
        "BAQUP_BUS_KEY_PREFIX": {"type": "string", "default": "baqup:"},
        "BAQUP_BUS_FALLBACK_DIR": {"type": "string", "default": "/tmp/baqup-buffer"},
        "BAQUP_BUS_GRACE_PERIOD": {"type": "integer", "minimum": 0, "default": 30},
        "BAQUP_SOURCE_PATH": {"type": "string", "minLength": 1},
        "BAQUP_AGENT_PARTIAL_FAILURE_MODE": {"enum": ["fail", "warn", "skip"], "default": "fail"},
        "BAQUP_SECRET_TOKEN": {"type": "string", "writeOnly": True},
        "BAQUP_SECRET_TOKEN_OLD": {"writeOnly": True, "type": "string"},
    },
    "required": ["BAQUP_BUS_URL", "BAQUP_JOB_ID", "BAQUP_SOURCE_PATH", "BAQUP_STAGING_DIR"],
}
INFO = {
    "agent": NAME,
    "version": VERSION,
    "build": {"commit": None, "date": None},
    "roles": ROLES,
    "capabilities": {"compression": ["none"], "checksums": ["sha256"], "parallel": False},
    "requirements": {"min_memory": "32M", "recommended_memory": "64M"},
}
LABELS = {
    "io.baqup.agent": "true",
    "io.baqup.type": "plain",
    "io.baqup.version": VERSION,
    "io.baqup.roles": ",".join(ROLES),
    "io.baqup.schema": json.dumps(SCHEMA, separators=(",", ":")),
}


#: How a state ends whose time is over, and its time where no variable says it, seconds.
LATE = {
    "initializing": (69, "INITIALIZATION_TIMEOUT", 30.0),
    "running": (1, "JOB_TIMEOUT", 0.0),
    "completing": (74, "COMPLETION_TIMEOUT", 60.0),
}


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def log(level, message, **context):
    line = {
        "timestamp": now(),
        "level": level,
        "job_id": os.environ.get("BAQUP_JOB_ID", ""),
        "message": clean(message),
        "context": {name: clean(one) for name, one in context.items()},
    }
    os.write(2, json.dumps(line).encode() + b"\n")


def forms(secret):
    yield secret
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]


def secrets():
    return [one for name, one in os.environ.items() if name.startswith("BAQUP_SECRET_") and one]


def clean(value):
    """Take the secrets out of a text, the longest first."""
    if isinstance(value, str):
        needles = {form for one in secrets() for form in forms(one)}
        for needle in sorted(needles, key=len, reverse=True):
            value = value.replace(needle, "[REDACTED]")
    return value


class Failed(Exception):
    def __init__(self, exit_code, code, category, message):
        super().__init__(message)
        self.exit_code, self.code, self.category = exit_code, code, category


def read_configuration():
    """Return the configuration and all that is wrong with it."""
    values, problems = {}, []
    for name, rule in SCHEMA["properties"].items():
        text = os.environ.get(name)
        if not text:
            values[name] = rule.get("default")
            if name in SCHEMA["required"]:
                problems.append(f"{name}: is required")
            continue
        values[name] = text
        if rule.get("type") == "integer":
            if re.fullmatch(r"-?[0-9]+", text) and int(text) >= rule["minimum"]:
                values[name] = int(text)
            else:
                problems.append(f"{name}={text!r}: expected a whole number")
        elif text not in rule.get("enum", [text]):
            problems.append(f"{name}={text!r}: expected one of {', '.join(rule['enum'])}")
        elif not re.search(rule.get("pattern", ""), text):
            problems.append(f"{name}={text!r}: expected a UUID")
    try:
        parts = urlsplit(values["BAQUP_BUS_URL"] or "redis://h")
        if parts.scheme != "redis" or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        problems.append("BAQUP_BUS_URL: expected redis://host:port/db")
    return values, problems


class Bus(threading.Thread):
    """Sends in its own thread, so that the work never waits for it."""

    def __init__(self, config):
        super().__init__(daemon=True)
        self.config = config
        self.prefix = config["BAQUP_BUS_KEY_PREFIX"]
        self.agent_id = f"{NAME}-{os.getpid():06x}"
        self.seq = 0
        self.state = "initializing"
        self.progressed = self.progress = self.intent = None
        self.warnings = {}
        self.unkept = self.refused = False
        self.tried = threading.Event()  # whether there is a bus
        self.lock = threading.Lock()
        self.pending = []  # statuses and events that the bus has not taken
        self.wanted = queue.SimpleQueue()
        self.socket = None

    def message(self, kind, **members):
        with self.lock:
            self.seq += 1
            head = {"type": kind, "job_id": self.config["BAQUP_JOB_ID"]}
            head |= {"timestamp": now(), "agent_id": self.agent_id, "seq": self.seq}
            return head | members

    def put(self, message):
        with self.lock:
            self.pending.append(message)
            self.buffer()
        self.wanted.put(None)

    def warn(self, code, message):
        self.warnings[code] = self.warnings.get(code, 0) + 1
        said = {"severity": "warn", "code": code, "message": message, "sample_paths": []}
        said |= {"first_occurrence": now(), "last_occurrence": now(), "count": self.warnings[code]}
        self.put(self.message("event", **said))

    def buffer(self):
        folder = self.config["BAQUP_BUS_FALLBACK_DIR"]
        try:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, self.config["BAQUP_JOB_ID"] + ".jsonl")
            with open(path, "w") as file:
                file.writelines(json.dumps(one) + "\n" for one in self.pending)
        except OSError as error:
            if not self.unkept:
                log("warn", f"messages cannot be kept on disk: {error.strerror}")
            self.unkept = True

    def enter(self, state):
        self.state, self.entered = state, time.monotonic()
        log("info", f"now {state}")
        self.wanted.put(state)

    def run(self):
        due = 0.0
        while True:
            state = None
            try:
                pause = 0.2 if self.pending else max(0.0, due - time.monotonic())
                state = self.wanted.get(timeout=pause)
            except queue.Empty:
                pass
            try:
                if self.connect() or state or time.monotonic() >= due:
                    self.send(self.beat(state or self.state))
                    due = time.monotonic() + self.config["BAQUP_AGENT_HEARTBEAT_INTERVAL"]
                if self.progress is not None:
                    progress, self.progress = self.progress, None
                    self.send(self.message("progress", **progress))
                while self.pending:
                    self.send(self.pending[0])
                    with self.lock:
                        del self.pending[0]
                        self.buffer()
            except (OSError, ValueError) as error:
                self.refused = "WRONGPASS" in repr(error) or "NOAUTH" in repr(error)
                if self.socket is not None:
                    self.socket.close()
                self.socket = None
                due = time.monotonic() + 0.2
            self.tried.set()

    def beat(self, state):
        told = {"state": state, "intent": self.intent, "last_progress_at": self.progressed}
        return self.message("heartbeat", **told)

    def connect(self):
        """Return whether the connection is new."""
        if self.socket is None:
            parts = urlsplit(self.config["BAQUP_BUS_URL"])
            self.socket = socket.create_connection((parts.hostname, parts.port or 6379), 1)
            self.reader = self.socket.makefile("rb")
            if parts.password:
                self.socket.sendall(encode(["AUTH", parts.username or "default", parts.password]))
                self.read()
            return True
        return False

    def send(self, message):
        kind, job = message["type"], message["job_id"]
        hash_key = {"heartbeat": f"heartbeat:{self.agent_id}"}.get(kind, f"{kind}:{job}")
        fields = []
        for name, value in message.items():
            if value is not None or (kind == "status" and name == "error"):
                plain = isinstance(value, str)
                fields += [name, value if plain else json.dumps(value, separators=(",", ":"))]
        key = self.prefix + (f"events:{job}" if kind == "event" else hash_key)
        if kind == "event":
            at = datetime.fromisoformat(message["timestamp"])  # the same when it is sent again
            entry = f"{int(at.timestamp() * 1000)}-{message['seq']}"
            store = [["XADD", key, entry, *fields]]
        else:
            store = [["DEL", key], ["HSET", key, *fields]]
        life = ["EXPIRE", key, "30" if kind == "heartbeat" else "86400"]
        told = ["PUBLISH", self.prefix + "notify", json.dumps(message)]
        commands = [["MULTI"], *store, life, told, ["EXEC"]]
        self.socket.sendall(b"".join(map(encode, commands)))
        for _ in commands:
            self.read()

    def read(self):
        line = self.reader.readline()
        if line.startswith(b"-") and b"equal or smaller" in line:
            return  # it is there since an earlier attempt
        if not line or line.startswith(b"-"):
            raise ValueError(line)
        if line.startswith(b"*"):
            for _ in range(int(line[1:])):
                self.read()
        elif line.startswith(b"$"):
            self.reader.read(int(line[1:]) + 2)


def encode(words):
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Flag:
    """A handler may set it; the lock of an Event may be held by what the handler interrupts."""

    up = False

    def set(self):
        self.up = True

    def is_set(self):
        return self.up

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while not self.up and time.monotonic() < until:
            time.sleep(min(seconds, 0.02))
        return self.up


class Job:
    def __init__(self, role, config, bus):
        self.role, self.config, self.bus = role, config, bus
        self.directory = os.path.join(config["BAQUP_STAGING_DIR"], config["BAQUP_JOB_ID"])
        self.work = os.path.join(self.directory, ".staging")
        self.stopped = Flag()
        self.published = False
        self.started = now()
        self.files = []
        self.done = {"bytes_processed": 0, "files_processed": 0}

    def advance(self, size, files=0):
        self.done["bytes_processed"] += size
        self.done["files_processed"] += files
        self.bus.progressed = now()
        self.bus.progress = dict(self.done)

    def toil(self, seconds):
        """Work that gets on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            self.advance(10)
            self.stopped.wait(0.02)

    def operate(self):
        """One long operation, announced."""
        self.bus.intent = {"operation": "pause", "expected_duration_seconds": 2}
        self.bus.wanted.put(self.bus.state)
        log("info", "operation begins")
        self.toil(2)
        log("info", "operation ends")
        self.bus.intent = None
        self.bus.wanted.put(self.bus.state)
        self.toil(3)

    def compute(self, seconds):
        """Use the processor without a pause."""
        until, number = time.monotonic() + seconds, 1
        while time.monotonic() < until:
            for _ in range(10_000):
                number = number * 3 % 1_000_003
            self.check()

    def notice(self, count):
        """Have something to tell again and again, each time something else."""
        for number in range(count):
            self.bus.warn(f"NOTICE_{number}", "look at that")
            self.toil(0.1)

    def stand_still(self):
        """Work that gets stuck."""
        self.toil(1)
        while True:
            self.check()
            time.sleep(0.02)

    def check(self):
        state = self.bus.state
        if self.stopped.is_set() and state != "completing":
            raise Failed(1, "ABORTED", "transient", "told to stop")
        exit_code, code, limit = LATE[state]
        limit = float(os.environ.get(f"PLAIN_{state.upper()}_LIMIT_S", limit))
        if time.monotonic() > self.bus.entered + (limit or self.config["BAQUP_JOB_TIMEOUT"]):
            raise Failed(exit_code, code, "transient", f"{state} took too long")

    def stall(self, state):
        """Spend some seconds in a state, if a fixture says so."""
        until = time.monotonic() + float(os.environ.get(f"PLAIN_{state.upper()}_S", "0"))
        while time.monotonic() < until:
            self.check()
            time.sleep(0.02)

    def call(self, function):
        """Carry out what cannot be interrupted, and leave it behind if the job has to stop."""
        worker = threading.Thread(target=function, daemon=True)
        worker.start()
        while worker.is_alive():
            self.check()
            time.sleep(0.02)

    def have_child(self):
        """Wait for a child that is deaf to SIGTERM and has a child of its own."""
        script = "trap '' TERM; sleep 600 & wait"
        child = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, setsid=True)
        try:
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                self.check()
                time.sleep(0.02)
        finally:
            os.killpg(child, signal.SIGKILL)

    def prepare(self):
        if os.path.exists(os.path.join(self.directory, "manifest.json")):
            raise Failed(73, "ALREADY_PUBLISHED", "permanent", "the job is published already")
        try:
            shutil.rmtree(self.directory, ignore_errors=True)
            os.makedirs(self.work)
        except OSError as error:
            raise Failed(73, "CANT_CREATE_OUTPUT", "transient", str(error)) from error

    def run(self):
        source = self.config["BAQUP_SOURCE_PATH"]
        if not os.path.isdir(source):
            raise Failed(69, "SOURCE_UNAVAILABLE", "transient", f"no directory {source}")
        self.toil(float(os.environ.get("PLAIN_WORK_S", "0")))
        self.compute(float(os.environ.get("PLAIN_CPU_S", "0")))
        self.notice(int(os.environ.get("PLAIN_NOTICES", "0")))
        if os.environ.get("PLAIN_INTENT"):
            self.operate()
        if os.environ.get("PLAIN_STUCK"):
            self.stand_still()
        if os.environ.get("PLAIN_BLOCKING"):
            ends = socket.socketpair()
            self.call(lambda: ends[0].recv(1))
        if os.environ.get("PLAIN_CHILD"):
            self.have_child()
        with tarfile.open(os.path.join(self.work, "data.tar"), "w") as archive:
            for name in sorted(os.listdir(source)):
                self.check()
                archive.add(os.path.join(source, name), name)
                self.advance(os.path.getsize(os.path.join(source, name)), 1)
        if os.environ.get("PLAIN_CRASH"):
            raise RuntimeError("broken\non purpose")
        if os.environ.get("PLAIN_LEAK"):
            self.leak()
        if fault := os.environ.get("PLAIN_FAULT"):
            raise FAULTS[fault]
        self.check()

    def leak(self):
        """Fail with every form of every secret in the error's text."""
        text = " ".join(form for one in secrets() for form in forms(one))
        log("warn", "about to fail", connection=text)
        self.bus.warn("LEAKING", clean(text))
        raise Failed(70, "INTERNAL_ERROR", "internal", f"refused: {text}")

    def outcome(self):
        """Exit code and status of a job that published, and what the status says beside it."""
        if not os.environ.get("PLAIN_PARTIAL"):
            return 0, "success", {}
        mode = self.config["BAQUP_AGENT_PARTIAL_FAILURE_MODE"]
        left = "skipped" if mode == "skip" else "failed"
        parts = [
            {"name": "files", "status": "succeeded", "artifact": "data.tar"},
            {"name": "ledger", "status": left, "error": {"code": "LEDGER_CLOSED"}},
        ]
        summary = {"total": 2, "succeeded": 1, "failed": int(mode != "skip")}
        code, word = {"fail": (76, "partial"), "warn": (0, "partial"), "skip": (0, "success")}[mode]
        return code, word, {"summary": summary, "components": parts}

    def publish(self):
        path = os.path.join(self.work, "data.tar")
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
            os.fsync(file.fileno())
        size = os.path.getsize(path)
        manifest = {
            "version": "1.0",
            "job_id": self.config["BAQUP_JOB_ID"],
            "agent": NAME,
            "role": self.role,
            "created_at": now(),
            "artifacts": [
                {
                    "filename": "data.tar",
                    "size_bytes": size,
                    "checksum": {"algorithm": "sha256", "value": digest},
                }
            ],
        }
        with open(os.path.join(self.work, "manifest.json"), "w") as file:
            json.dump(manifest, file)
            file.flush()
            os.fsync(file.fileno())
        for name in ("data.tar", "manifest.json"):
            os.rename(os.path.join(self.work, name), os.path.join(self.directory, name))
            sync(self.directory)
        os.rmdir(self.work)
        self.published = True
        self.files = [{"path": "data.tar", "size_bytes": size, "checksum_sha256": digest}]

    def status(self, exit_code, error):
        _, word, parts = (0, "failed", {}) if error else self.outcome()
        return self.bus.message(
            "status",
            agent=NAME,
            agent_version=VERSION,
            role=self.role,
            status=word,
            **parts,
            started_at=self.started,
            completed_at=now(),
            files=[] if error else self.files,
            metrics={"duration_seconds": 0.0, **self.done},
            warnings_summary=self.bus.warnings,
            error=error,
            exit_code=exit_code,
        )

    def report(self, exit_code, error, within_s):
        self.bus.put(self.status(exit_code, error))
        until = time.monotonic() + within_s
        while self.bus.pending and time.monotonic() < until:
            time.sleep(0.005)
        return not self.bus.pending

    def leave_orphan(self, exit_code, error):
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, ".baqup-status.json"), "w") as file:
            json.dump(self.status(exit_code, error), file)


def sync(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


#: What fixtures raise, by the exit code that it has to lead to.
FAULTS = {
    "65": Failed(65, "DATA_INVALID", "permanent", "no table of contents"),
    "69": ConnectionRefusedError(111, "Connection refused"),
    "74": OSError(5, "Input/output error"),
}


def carry_out(job, bus):
    """Carry a job out; return its exit code and error."""
    try:
        job.stall("initializing")
        bus.tried.wait(3)
        if bus.refused:
            raise Failed(64, "BUS_REFUSED", "config", "the bus refuses the credentials")
        job.prepare()
        bus.enter("running")
        job.run()
        bus.enter("completing")
        job.stall("completing")
        job.publish()
    except Failed as error:
        known = error
    except ConnectionError as error:
        known = Failed(69, "SOURCE_UNAVAILABLE", "transient", str(error))
    except OSError as error:
        known = Failed(74, "IO_ERROR", "transient", str(error))
    except Exception as error:
        log("error", "a bug", traceback=traceback.format_exc())
        known = Failed(70, "INTERNAL_ERROR", "internal", repr(error))
    else:
        return 0, None
    body = {"code": known.code, "category": known.category}
    return known.exit_code, body | {
        "retriable": known.category == "transient",
        "message": clean(str(known)),
    }


def run_job(role):
    config, problems = read_configuration()
    if problems:
        for problem in problems:
            log("error", problem)
        return 64
    bus = Bus(config)
    job = Job(role, config, bus)
    signal.signal(signal.SIGUSR1, lambda *_: bus.wanted.put(bus.state))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: job.stopped.set())
    bus.start()
    bus.enter("initializing")
    exit_code, error = carry_out(job, bus)
    exit_code = exit_code or job.outcome()[0]
    reported = job.report(exit_code, error, 2 if error else config["BAQUP_BUS_GRACE_PERIOD"])
    if reported and exit_code == 76:  # a partial failure has no error of its own
        bus.enter("failed")
    elif reported:
        bus.enter("failed" if error else "terminated")
    else:
        exit_code = exit_code or 75
        job.leave_orphan(exit_code, error)
        bus.enter("failed")
    until = time.monotonic() + 0.5
    while not bus.wanted.empty() and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.02)
    log("error" if exit_code else "info", "the end", exit_code=exit_code)
    return exit_code


def main(arguments):
    answers = {"--info": INFO, "--schema": SCHEMA, "--labels": LABELS}
    if len(arguments) == 1 and arguments[0] in answers:
        print(json.dumps(answers[arguments[0]]))
        return 0
    if arguments == ["--validate"]:
        _, problems = read_configuration()
        print("\n".join(problems or ["valid"]))
        return 64 if problems else 0
    if len(arguments) != 1 or arguments[0] not in ROLES:
        log("error", f"usage: {NAME} {'|'.join(ROLES)} or --info, --schema, --labels, --validate")
        return 64
    return run_job(arguments[0])


if __name__ == "__main__":
    sys.stdout.flush()
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
