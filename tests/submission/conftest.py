"""Samples of competitions, written and read."""

import pytest

from tropho.submission.sample_file import read_sample


@pytest.fixture
def written(tmp_path):
    """Function (text) -> the sample that a file of this text holds."""

    def write(text: str):
        path = tmp_path / "sample_submission.csv"
        path.write_text(text, encoding="utf-8")
        return read_sample(path)

    return write
