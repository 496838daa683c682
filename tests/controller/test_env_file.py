"""Env files: the grammar, and errors that name the line and never a value."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.controller.env_file import parse_env, parse_pair, read_env_file
from baqup_agent.errors import ConfigError

GOOD = [
    ("", {}),
    ("# a comment\n\n  # another\n", {}),
    ("A=1", {"A": "1"}),
    ("A=", {"A": ""}),
    ("export A=1", {"A": "1"}),
    ("A = spaced out \n", {"A": "spaced out"}),
    ("A=a b # comment", {"A": "a b"}),
    ("A=# comment", {"A": ""}),
    ("A=a#b", {"A": "a#b"}),
    ("A=redis://h:1/0?x=1", {"A": "redis://h:1/0?x=1"}),
    ("A=b=c", {"A": "b=c"}),
    ("A='one # $two' # comment", {"A": "one # $two"}),
    (r"A='\n'", {"A": r"\n"}),
    (r'A="a\nb\t\"c\"\\ \$d"', {"A": 'a\nb\t"c"\\ $d'}),
    ('A=""', {"A": ""}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("A=$HOME", {"A": "$HOME"}),
    ("exports=1", {"exports": "1"}),
]


@pytest.mark.parametrize(("text", "values"), GOOD)
def test_a_good_line_gives_its_value(text, values):
    """The grammar at the head of the module, line by line."""
    assert parse_env(text, name="job.env") == values


BAD = [
    ("A", "job.env:1:"),
    ("A=1\n\nsecret value", "job.env:3:"),
    ("1A=secret", "job.env:1:"),
    ("A-B=secret", "job.env:1:"),
    ("=secret", "job.env:1:"),
    ("A='secret", "job.env:1:"),
    ('A="secret', "job.env:1:"),
    ("A='secret' secret", "job.env:1:"),
    (r'A="secret\q"', "job.env:1:"),
    ("A=secret\nA=secret", "job.env:2:"),
    ("A=sec\0ret", "job.env:1:"),
]


@pytest.mark.parametrize(("text", "place"), BAD)
def test_a_bad_line_is_named_without_its_value(text, place):
    """The value may be a password."""
    with pytest.raises(ConfigError) as caught:
        parse_env(text, name="job.env")

    assert place in caught.value.message
    assert "secret" not in caught.value.message
    assert "\n" not in caught.value.message


def test_all_bad_lines_are_told_at_once():
    """Nobody likes to mend a file line by line."""
    with pytest.raises(ConfigError) as caught:
        parse_env("A\nB=1\nC='", name="job.env")

    assert [line.split(": ")[0] for line in caught.value.problems] == ["job.env:1", "job.env:3"]


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(max_size=20)))
def test_quoted_values_come_back_whole(values):
    """Any text without NUL can be written in double quotes on one line."""
    values = {key: value.replace("\0", "").replace("\r", "") for key, value in values.items()}
    lines = [f'{key}="{escaped(value)}"' for key, value in values.items()]

    assert parse_env("\n".join(lines), name="job.env") == values


def test_a_shell_reads_the_same(tmp_path):
    """People source these files, too."""
    text = "export A=1\nB='x # y'\nC=\"a b\"\n# end\n"
    file = tmp_path / "job.env"
    file.write_text(text)
    script = f'. {file}; printf "%s|%s|%s" "$A" "$B" "$C"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert shell.stdout == "|".join(read_env_file(file).values())


def test_an_absent_file_is_named(tmp_path):
    """With the reason of the operating system."""
    with pytest.raises(ConfigError, match=r"absent\.env cannot be read: No such file"):
        read_env_file(tmp_path / "absent.env")


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path):
    """The line is where the first odd byte stands."""
    file = tmp_path / "job.env"
    file.write_bytes(b"A=1\nB=\xff\n")

    with pytest.raises(ConfigError, match=r"job\.env:2: not UTF-8"):
        read_env_file(file)


def test_a_pair_is_taken_as_it_stands():
    """The shell has dealt with quotes already."""
    assert parse_pair("A='b' # c=d") == ("A", "'b' # c=d")


@pytest.mark.parametrize("text", ["A", "", "=1", "A B=1", "1=1"])
def test_a_pair_without_a_good_key_is_refused(text):
    """Before anything is started."""
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_pair(text)
