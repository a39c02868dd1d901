"""What people reported of their own files, through the stages that they ran (../shared/cases)."""

import pytest

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("entry", "images"), [("entry", 12), ("entry_b", 16)])
def test_case_01_equal_names_in_two_folders(case, entry, images):
    project, task = case("01", entry)
    project.run(task, "download", "audit")
    boxes = project.table(task, "boxes")
    assert boxes["image_id"].nunique() == len(boxes) == images
