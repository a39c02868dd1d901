"""What `tropho doctor` finds in a project."""

import pytest

from tropho.commands.doctor import examine


@pytest.fixture
def lock_finding(tmp_path):
    """Return what is found of DVC's lock file with the given content; None = there is no such file."""

    def find(content):
        path = tmp_path / ".dvc" / "tmp" / "rwlock"
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_text(content)
        return [finding for finding in examine(tmp_path) if finding.item == "DVC's lock file"]

    return find


@pytest.mark.parametrize("content", [None, "{}", '{"data": {"read": []}}'])
def test_doctor_says_nothing_of_a_whole_lock_file(lock_finding, content):
    assert lock_finding(content) == []


@pytest.mark.fault("DVC is killed while it writes its lock file", "tropho doctor names the file to delete")
@pytest.mark.parametrize("content", ["", '{"data"'])
def test_doctor_names_a_lock_file_that_a_kill_left_unfinished(lock_finding, content):
    (found,) = lock_finding(content)
    assert found.remedy == "delete .dvc/tmp/rwlock while no dvc command runs"
