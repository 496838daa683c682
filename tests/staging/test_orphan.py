from __future__ import annotations

import json

import pytest

from baqup_agent.errors import ConfigError, InternalError, OutputError
from baqup_agent.staging.orphan import write_orphan_status
from baqup_agent.staging.verification import verify

from .conftest import names, put


def test_an_orphan_status_is_written_into_the_jobs_directory(staging):
    """As JSON, beside what is staged."""
    put(staging, "data", b"x")

    path = staging.write_orphan_status({"type": "status", "error": None, "files": []})

    assert path == staging.directory / ".baqup-status.json"
    assert json.loads(path.read_text()) == {"type": "status", "error": None, "files": []}
    assert names(staging.directory) == [".baqup-status.json", ".staging"]


def test_it_needs_no_prepared_staging(make_staging, root, job_id):
    """A job whose staging was refused must be able to tell, if the place exists at all."""
    path = make_staging(prepare=False).write_orphan_status({"status": "failed"})

    assert path == root / job_id / ".baqup-status.json"
    assert path.exists()


def test_it_can_follow_a_publication(published, staging):
    """A good backup whose status found no bus stays a good backup."""
    staging.write_orphan_status({"status": "success"})

    assert verify(published).ok


def test_a_newer_status_replaces_an_older_one(staging):
    """Readers see one or the other, also after a kill in between."""
    staging.write_orphan_status({"seq": 1})
    (staging.directory / ".baqup-status.json.tmp").write_text('{"se')

    path = staging.write_orphan_status({"seq": 2})

    assert json.loads(path.read_text()) == {"seq": 2}
    assert not (staging.directory / ".baqup-status.json.tmp").exists()


def test_it_survives_the_next_attempt(staging, make_staging):
    """The controller may not have collected it yet."""
    path = staging.write_orphan_status({"status": "failed"})
    staging.close()

    make_staging()

    assert path.exists()


def test_file_names_that_are_not_utf8_become_valid_text(staging):
    """Readers in other languages must be able to read it."""
    path = staging.write_orphan_status({"path": "caf\udce9"})

    assert json.loads(path.read_bytes().decode("utf-8", "strict")) == {"path": "caf\ufffd"}


def test_a_link_in_the_way_is_replaced_not_written_through(staging, tmp_path):
    """Neither under the name nor under the scratch name."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    for name in (".baqup-status.json", ".baqup-status.json.tmp"):
        (staging.directory / name).symlink_to(precious)

    path = staging.write_orphan_status({"status": "failed"})

    assert precious.read_text() == "keep"
    assert not path.is_symlink()


def test_a_job_directory_that_is_a_link_is_refused(root, job_id, tmp_path):
    """The status does not end up elsewhere."""
    root.mkdir()
    (root / job_id).symlink_to(tmp_path)

    with pytest.raises(OutputError, match=job_id):
        write_orphan_status(root, job_id, {})


def test_a_job_id_that_is_a_path_is_refused(root):
    """Before anything is made."""
    with pytest.raises(ConfigError, match="BAQUP_JOB_ID"):
        write_orphan_status(root, "../elsewhere", {})

    assert not root.exists()


def test_a_message_that_is_no_json_is_the_agents_bug(staging):
    """And leaves nothing behind."""
    with pytest.raises(InternalError, match="the status"):
        staging.write_orphan_status({"bad": object()})

    assert names(staging.directory) == [".staging"]


def test_a_full_disk_leaves_the_older_status(small_disk, make_staging, monkeypatch):
    """The new one is complete or it is not there."""
    staging = make_staging(at=small_disk / "staging")
    path = staging.write_orphan_status({"seq": 1})

    with pytest.raises(Exception, match="free space") as caught:
        staging.write_orphan_status({"seq": 2, "padding": "x" * (2 << 20)})

    assert caught.value.exit_code == 74
    assert json.loads(path.read_text()) == {"seq": 1}
    assert names(staging.directory) == [".baqup-status.json", ".staging"]
