"""The contract's variables, as one table (Contract §2).

The JSON Schema, the loader, the documentation and the typed settings are derived from it. An
author declares further variables as a typed record (`baqup_agent.config.fields`), which comes down
to rows of the same form. The rows are plain tuples, so that ``--info`` and ``--validate`` need
nothing that is slow to import.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """Types a variable can have; the loader turns its text into the Python type beside it."""

    STRING = "string"  # str
    INT = "int"  # int
    FLOAT = "float"  # float
    BOOL = "bool"  # bool
    ENUM = "enum"  # str
    ARRAY = "array"  # list[str]
    PATH = "path"  # pathlib.Path
    URI = "uri"  # str
    HOSTNAME = "hostname"  # str
    SIZE = "size"  # str, a number with an optional unit
    DURATION = "duration"  # str, numbers with units
    UUID = "uuid"  # str, canonical
    SECRET = "secret"  # Secret  # noqa: S105  a type's name


class Variable(NamedTuple):
    """One environment variable.

    Attributes:
        name: the variable's name, for example ``BAQUP_SOURCE_PATH``.
        kind: its type.
        description: what it is for, in a few words.
        default: the value when it is unset; None leaves it out. An array's may be the text that
            would be set.
        required: whether every job needs it.
        choices: the allowed words of an enum, or of each item of an array.
        minimum: least number allowed.
        maximum: greatest number allowed.
        sdk: whether it is this SDK's addition to the contract.
        pattern: a regular expression that the whole text keeps, or each item of an array.
        min_length: least number of characters.
        max_length: greatest number of characters.
        min_items: least number of an array's items.
        max_items: greatest number of an array's items.
        unit: what a number counts, for example ``seconds``.
        required_for: the roles that need it.
        required_if: pairs of another variable and a value of it that makes this one required.
        needs: other variables that are required once this one is set.
        exists: ``file``, ``directory`` or ``any``: what a path must lead to.
        supported: the values that this version can serve, where the contract allows more.
        schemes: what the URL may begin with, without the colon.
    """

    name: str
    kind: Kind
    description: str
    default: str | int | float | bool | tuple[str, ...] | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    sdk: bool = False
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    unit: str = ""
    required_for: tuple[str, ...] = ()
    required_if: tuple[tuple[str, Any], ...] = ()
    needs: tuple[str, ...] = ()
    exists: str | None = None
    supported: tuple[Any, ...] = ()
    schemes: tuple[str, ...] = ()


_BACKOFFS = ("linear", "exponential", "fibonacci", "constant")

#: Every variable that the contract names, in its order.
VARIABLES: tuple[Variable, ...] = (
    Variable("BAQUP_JOB_ID", Kind.UUID, "unique id of the job", required=True),
    Variable("BAQUP_JOB_TIMEOUT", Kind.INT, "longest job, seconds", 3600, minimum=1),
    Variable("BAQUP_JOB_RETRY_MAX", Kind.INT, "most attempts at one operation", 3, minimum=1),
    Variable(
        "BAQUP_JOB_RETRY_BACKOFF",
        Kind.ENUM,
        "growth of the pause between attempts",
        "exponential",
        choices=_BACKOFFS,
    ),
    Variable("BAQUP_JOB_TRACE_PARENT", Kind.STRING, "W3C trace context of the caller"),
    Variable(
        "BAQUP_AGENT_HEARTBEAT_INTERVAL",
        Kind.INT,
        "seconds between heartbeats",
        10,
        minimum=1,
        maximum=600,
    ),
    Variable(
        "BAQUP_AGENT_LOG_LEVEL",
        Kind.ENUM,
        "least severe level that is logged",
        "info",
        choices=("trace", "debug", "info", "warn", "error", "fatal"),
    ),
    Variable(
        "BAQUP_AGENT_LOG_FORMAT",
        Kind.ENUM,
        "form of log lines",
        "json",
        choices=("json", "text", "logfmt"),
    ),
    Variable(
        "BAQUP_AGENT_LOG_SANITIZE",
        Kind.ENUM,
        "how much of paths and patterns is redacted",
        "moderate",
        choices=("strict", "moderate", "none"),
    ),
    Variable(
        "BAQUP_AGENT_PARTIAL_FAILURE_MODE",
        Kind.ENUM,
        "how a run ends of which some components failed",
        "fail",
        choices=("fail", "warn", "skip"),
    ),
    Variable("BAQUP_AGENT_MEMORY_LIMIT", Kind.SIZE, "memory to stay below", "auto"),
    Variable("BAQUP_AGENT_PARALLELISM", Kind.INT, "workers, 0 for automatic", 0, minimum=0),
    Variable("BAQUP_AGENT_TRACING_ENABLED", Kind.BOOL, "OpenTelemetry on", default=False),
    Variable("BAQUP_AGENT_TRACING_ENDPOINT", Kind.URI, "OTLP endpoint"),
    Variable("BAQUP_AGENT_TRACE_FILE", Kind.PATH, "this run's transitions as JSON Lines", sdk=True),
    Variable("BAQUP_STAGING_DIR", Kind.PATH, "root of the staging area", required=True),
    Variable("BAQUP_ARTIFACT_COMPRESS", Kind.BOOL, "compress artifacts", default=True),
    Variable(
        "BAQUP_ARTIFACT_COMPRESS_ALGORITHM",
        Kind.ENUM,
        "compression algorithm",
        "zstd",
        choices=("zstd", "gzip", "lz4", "none"),
    ),
    Variable(
        "BAQUP_ARTIFACT_COMPRESS_LEVEL",
        Kind.INT,
        "level of the compression algorithm",
        3,
        minimum=-7,
        maximum=22,
    ),
    Variable(
        "BAQUP_ARTIFACT_CHECKSUM_ALGORITHM",
        Kind.ENUM,
        "checksum of artifacts",
        "sha256",
        choices=("sha256", "sha512", "blake3"),
    ),
    Variable("BAQUP_ARTIFACT_ENCRYPT", Kind.BOOL, "encrypt artifacts", default=False),
    Variable(
        "BAQUP_ARTIFACT_ENCRYPT_ALGORITHM",
        Kind.ENUM,
        "cipher",
        "aes-256-gcm",
        choices=("aes-256-gcm", "chacha20-poly1305"),
    ),
    Variable("BAQUP_ARTIFACT_ENCRYPT_KEY_ID", Kind.STRING, "which key"),
    Variable(
        "BAQUP_ARTIFACT_SPLIT_SIZE",
        Kind.SIZE,
        "split artifacts larger than this, 0 for never",
        "0",
    ),
    Variable(
        "BAQUP_ARTIFACT_RETAIN_ON_FAILURE",
        Kind.BOOL,
        "keep staged work when the job fails",
        default=True,
    ),
    Variable(
        "BAQUP_ARTIFACT_CLEANUP_DELAY",
        Kind.INT,
        "seconds until the controller cleans up",
        3600,
        minimum=0,
    ),
    Variable("BAQUP_BUS_URL", Kind.URI, "redis://host:port/db or file:///dir", required=True),
    Variable(
        "BAQUP_BUS_KEY_PREFIX", Kind.STRING, "what every key on the bus begins with", "baqup:"
    ),
    Variable(
        "BAQUP_BUS_FALLBACK_DIR",
        Kind.PATH,
        "where messages wait for the bus",
        "/tmp/baqup-buffer",  # noqa: S108  the contract's default
    ),
    Variable(
        "BAQUP_BUS_RECONNECT_MAX_ATTEMPTS",
        Kind.INT,
        "connection attempts in one outage",
        10,
        minimum=0,
    ),
    Variable(
        "BAQUP_BUS_RECONNECT_BACKOFF",
        Kind.ENUM,
        "growth of the pause between connections",
        "exponential",
        choices=("linear", "exponential", "constant"),
    ),
    Variable(
        "BAQUP_BUS_GRACE_PERIOD",
        Kind.INT,
        "seconds to wait for the bus at the end",
        30,
        minimum=0,
        sdk=True,
    ),
    Variable("BAQUP_SOURCE_PATH", Kind.PATH, "directory to read from"),
    Variable("BAQUP_SOURCE_HOST", Kind.HOSTNAME, "server to read from"),
    Variable("BAQUP_SOURCE_PORT", Kind.INT, "its port", minimum=1, maximum=65535),
    Variable("BAQUP_SOURCE_DATABASES", Kind.ARRAY, "databases to read, or all", "all"),
    Variable("BAQUP_SOURCE_EXCLUDE", Kind.ARRAY, "patterns of what is left out"),
    Variable(
        "BAQUP_SOURCE_FOLLOW_SYMLINKS",
        Kind.ENUM,
        "what becomes of symbolic links",
        "shallow",
        choices=("follow", "skip", "fail", "shallow"),
    ),
    Variable("BAQUP_SOURCE_MAX_FILES", Kind.INT, "most files, 0 for no limit", 0, minimum=0),
    Variable("BAQUP_SOURCE_MAX_DEPTH", Kind.INT, "deepest directory, 0 for no limit", 0, minimum=0),
    Variable("BAQUP_TARGET_PATH", Kind.PATH, "directory to restore to"),
    Variable("BAQUP_TARGET_HOST", Kind.HOSTNAME, "server to restore to"),
    Variable("BAQUP_TARGET_PORT", Kind.INT, "its port", minimum=1, maximum=65535),
    Variable(
        "BAQUP_SECRET_ARTIFACT_KEY",
        Kind.SECRET,
        "key of encrypted artifacts, or their passphrase",
        sdk=True,
    ),
    Variable(
        "BAQUP_SECRET_BUS_PASSWORD",
        Kind.SECRET,
        "password of the bus, where its URL names none",
        sdk=True,
    ),
)

#: What every secret's name begins with.
SECRET_PREFIX = "BAQUP_SECRET_"  # noqa: S105  a prefix of names

#: What the names of variables begin with, and what for (Contract §2).
PREFIXES = {
    "BAQUP_JOB_": "the job",
    "BAQUP_AGENT_": "the agent's behaviour",
    "BAQUP_STAGING_": "the staging area",
    "BAQUP_ARTIFACT_": "the form of artifacts",
    "BAQUP_BUS_": "reports",
    "BAQUP_SOURCE_": "where data comes from",
    "BAQUP_TARGET_": "where data goes",
    SECRET_PREFIX: "secrets",
}

#: Prefixes under which an agent's own, undeclared variables are handed on as they are.
OPEN_PREFIXES = ("BAQUP_SOURCE_", "BAQUP_TARGET_")
