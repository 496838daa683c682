"""The error tree and the place it gives to foreign exceptions (Contract §5)."""

from __future__ import annotations

import errno
import socket

import pytest

from baqup_agent import errors
from baqup_agent.contract import ErrorCategory, ExitCode
from baqup_agent.lifecycle.illegal import IllegalTransition


def subclasses(cls: type[errors.BaqupError]) -> list[type[errors.BaqupError]]:
    found = [cls]
    for child in cls.__subclasses__():
        if child.__module__ == "baqup_agent.errors":
            found += subclasses(child)
    return found


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """Every class stands in the drawing, and the drawing names no other."""
    drawing = (errors.__doc__ or "").split("Foreign exceptions")[0]
    drawn = {word for word in drawing.replace("─", " ").split() if word.isidentifier()}

    names = {cls.__name__ for cls in subclasses(errors.BaqupError)}
    assert names <= drawn
    for name in drawn:
        if isinstance(getattr(errors, name, None), type):
            assert name in names


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 69),
        (ConnectionError("no"), 69),
        (TimeoutError("late"), 69),
        (socket.gaierror(-2, "Name or service not known"), 69),
        (OSError(errno.ENETUNREACH, "unreachable"), 69),
        (BrokenPipeError(errno.EPIPE, "pipe"), 74),
        (OSError(errno.ENOSPC, "full"), 74),
        (PermissionError(errno.EACCES, "denied"), 74),
        (FileNotFoundError(errno.ENOENT, "gone"), 74),
        (ValueError("bug"), 70),
        (KeyError("bug"), 70),
        (RecursionError(), 70),
        (SystemExit(0), 70),
        (KeyboardInterrupt(), 70),
        (IllegalTransition("running", "start", ["complete"]), 70),
    ],
)
def test_a_foreign_exception_gets_its_place(error: BaseException, code: int) -> None:
    """The code follows the contract's mapping, and the exception stays the cause."""
    classified = errors.classify(error)

    assert classified.exit_code == code
    assert classified.__cause__ is error
    assert "\n" not in classified.message


def test_one_of_ours_is_returned_as_it_is() -> None:
    """Classification does not wrap what has its place already."""
    error = errors.DataError("malformed")

    assert errors.classify(error) is error


def test_the_error_object_is_complete() -> None:
    """Every member of the contract's error object is there, the root cause followed to its end."""
    try:
        try:
            try:
                raise OSError(errno.EIO, "Input/output error")
            except OSError as error:
                raise errors.IOFailure("cannot read") from error
        except errors.IOFailure as error:
            raise errors.DataError("broken", suggestions=["replace the disk"]) from error
    except errors.DataError as caught:
        wire = caught.to_wire()

    assert wire == {
        "code": "DATA_INVALID",
        "category": "permanent",
        "retriable": False,
        "message": "broken",
        "attempts": [],
        "root_cause": {"code": "EIO", "message": "OSError: [Errno 5] Input/output error"},
        "cascading_effects": [],
        "suggestions": ["replace the disk"],
    }


def test_a_class_is_found_by_its_code() -> None:
    """Each error code belongs to one class."""
    for cls in subclasses(errors.BaqupError):
        if cls is not errors.BaqupError and cls is not errors.InternalError:
            assert errors.error_class(cls.code) is cls
    with pytest.raises(KeyError):
        errors.error_class("NO_SUCH_CODE")


def test_an_error_can_carry_a_code_of_its_own() -> None:
    """An author's code and retry override the class's, the exit code does not change."""
    error = errors.DataError("x", code="SCHEMA_DRIFT", retriable=True)

    assert (error.code, error.retriable) == ("SCHEMA_DRIFT", True)
    assert (error.exit_code, error.category) == (ExitCode.DATA_ERROR, ErrorCategory.PERMANENT)


def test_an_error_that_is_its_own_cause_can_be_told() -> None:
    """An author may write ``raise error from error``; the report must not go round in it."""
    error, other = errors.DataError("damaged"), errors.IOFailure("unreadable")
    error.__cause__ = error
    assert error.to_wire()["root_cause"] == {
        "code": "DATA_INVALID",
        "message": "DataError: damaged",
    }

    error.__cause__, other.__cause__ = other, error
    assert error.to_wire()["root_cause"]["code"] in {"DATA_INVALID", "IO_ERROR"}
