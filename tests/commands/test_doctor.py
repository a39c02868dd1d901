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


@pytest.mark.parametrize("name", ["kaggle.json", "access_token"])
def test_doctor_finds_credentials(tmp_path, monkeypatch, name):
    def states():
        found = {finding.item: finding.state for finding in examine(tmp_path)}
        return [found[f"{site} credentials"] for site in ("Kaggle", "Zindi")]

    for variable in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "ZINDI_USERNAME", "ZINDI_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))
    assert all(state.endswith("not set; only private data and competitions need it") for state in states())
    (tmp_path / "kaggle").mkdir()
    (tmp_path / "kaggle" / name).write_text("secret")
    monkeypatch.setenv("ZINDI_USERNAME", "someone")
    assert states()[0] == f"in {tmp_path / 'kaggle' / name}"
    assert "not set" in states()[1]
    monkeypatch.setenv("ZINDI_PASSWORD", "secret")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    assert [state.rpartition(" ")[2] for state in states()] == ["set", "set"]
