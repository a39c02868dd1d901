"""Stop where nothing is left to train on, with the likeliest reason."""

import pandas as pd

from tropho.errors import DataError


def check_usable(images: pd.DataFrame, issues: pd.DataFrame, raw: str, listed_in: str) -> None:
    """Pass if at least one image that is not of the test set can be used.

    Args:
        images: tables.IMAGES.
        issues: tables.ISSUES.
        raw: the folder of the images, for the message.
        listed_in: the file of all issues, for the message.

    Raises:
        DataError: naming how many images there are by status, and the commonest reason with its first example.
    """
    training = images[images["subset"] != "test"]
    if (training["status"] == "ok").any():
        return
    if training.empty:
        count = f"{len(images):,} test images" if len(images) else "none at all"
        raise DataError(f"{raw} has no training images ({count}); name the files of their labels in audit.train.")
    counts = training["status"].value_counts()
    told = ", ".join(f"{number:,} {status}" for status, number in counts.items())
    reason = _reason(training, issues, raw)
    raise DataError(f"No training image can be used ({told}): {reason} All issues are in {listed_in}.")


def _reason(training: pd.DataFrame, issues: pd.DataFrame, raw: str) -> str:
    first = {str(image.status): image for image in training.drop_duplicates("status").itertuples()}
    if "missing" in first:
        looked_for = f"the first that the labels name is '{first['missing'].path}'"
        if "unlabelled" in first:
            found = first["unlabelled"].path
            return f"{looked_for}, the first file that they don't name is '{found}'; make the two agree."
        return f"{looked_for}, but {raw} has no such file; are the pictures unpacked and in download.path?"
    status = str(training["status"].value_counts().idxmax())
    image_id = first[status].image_id
    own = issues[(issues["image_id"] == image_id) & issues["action"].isin(["quarantined", "dropped"])]
    own = own.sort_values("kind", key=lambda kinds: kinds == "unlabelled", kind="stable")  # which gives no reason
    why = str(own["detail"].iloc[0]) if len(own) else f"its status is '{status}'."
    return f"of '{image_id}', the first, it is said: {why}"
