from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent.errors import ConfigError
from baqup_agent.staging.job_id import check_job_id

GOOD = "3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"


@pytest.mark.parametrize("text", [GOOD, GOOD.upper(), "00000000-0000-0000-0000-000000000000"])
def test_a_uuid_is_returned_letter_for_letter(text):
    """The controller looks under the spelling that it gave out."""
    assert check_job_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nightly",
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace("-", ""),
        "{" + GOOD + "}",
        "urn:uuid:" + GOOD,
        GOOD + "\n",
        " " + GOOD,
        "../" + GOOD,
        GOOD + "/..",
        "/" + GOOD,
        GOOD + "\0",
        "..",
        "٣f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4",
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_variable(text):
    """What is no UUID is a configuration error, above all what could be a path."""
    with pytest.raises(ConfigError) as caught:
        check_job_id(text)

    message = str(caught.value)
    assert "BAQUP_JOB_ID" in message
    assert repr(text) in message
    assert "UUID" in message
    assert "\n" not in message
    assert caught.value.exit_code == 64


@given(st.text(alphabet="0123456789abcdefABCDEF-/.\\\0\n", max_size=40))
def test_no_accepted_text_can_leave_a_directory(text):
    """Whatever is accepted is a single plain name."""
    try:
        name = check_job_id(text)
    except ConfigError:
        return
    assert set(name) <= set("0123456789abcdefABCDEF-")
    assert len(name) == 36


@given(st.uuids())
def test_every_uuid_is_accepted(value):
    """The usual text form of a UUID is a job id."""
    assert check_job_id(str(value)) == str(value)
