"""Tests of the address that a report tells its readers to clone."""

import subprocess

import pytest

from tropho.tracking.provenance import clone_address


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("https://github.com/me/tropho.git", "https://github.com/me/tropho.git"),
        ("https://me:secret@github.com/me/tropho.git", "https://github.com/me/tropho.git"),
        ("git@github.com:me/tropho.git", "git@github.com:me/tropho.git"),
        ("/home/me/tropho", None),
        ("file:///home/me/tropho", None),
        (None, None),
    ],
)
def test_clone_address_has_neither_password_nor_local_path(tmp_path, remote, told):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if remote:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    assert clone_address(tmp_path) == told
