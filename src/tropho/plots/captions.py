"""What each figure shows, in words: the caption below it and the text for those who can't see it."""

from pathlib import Path

# By the file name without its ending: (caption, what a reader who can't see it should know).
KNOWN = {
    "class_counts": ("Labels by class", "Bars of counts by class."),
    "objects_per_image": ("Objects in an image", "A histogram of the number of boxes in an image."),
    "image_sizes": ("Image sizes", "Width and height of the images, in pixels."),
    "box_sizes": ("Sizes of the boxes", "Histograms of the square root of the boxes' area, by class."),
    "same_slide_distances": (
        "How unlike pairs of images are, and the threshold below which they count as of one slide",
        "A histogram of all pairs beside that of pairs of different slides; the threshold is a line between.",
    ),
    "same_slide_groups": (
        "Some of the groups that were taken for slides: check that each row is of one slide",
        "Rows of images, one row a group.",
    ),
    "issues": ("What is wrong with the data, by kind", "Bars of counts by kind of issue."),
    "previews": ("Images as packed (left) and as the policy makes them (right)", "A sheet of image pairs."),
    "history": ("Score of each trial", "Trial scores in order, with the best so far."),
    "settings": ("Score over each searched setting", "Scatter plots of the trials, one for each setting."),
    "importance": ("Which settings matter", "Bars of the importance of each searched setting."),
    "confusion": (
        "Confusion matrix: counts, and the share of each true class",
        "A grid of true classes (rows) by predicted classes (columns); right answers lie on the diagonal.",
    ),
    "per_class": ("Precision, recall and F1 by class", "Three bars for each class, from 0 to 1."),
    "precision_recall": (
        "Precision over recall, by class",
        "A falling curve for each class; areas in the legend.",
    ),
    "roc": (
        "ROC curve of each class against the rest",
        "True positive rate over false positive rate, by class.",
    ),
    "f_threshold": ("F-score over the threshold", "One curve a class; the chosen threshold is marked."),
    "f_confidence": (
        "F-score over the confidence, by class",
        "One curve a class; the chosen confidence is marked.",
    ),
    "recall_by_size": ("The share of objects found, by their size", "Bars of recall by object size and class."),
    "negative": ("P(nothing here), by truth", "Two histograms: images without and with objects."),
    "reliability": (
        "Reliability: how often the model is right at each confidence",
        "Observed accuracy over stated confidence, before and after the temperature, beside the diagonal.",
    ),
    "scores": ("Scores by true class", "Histograms of the predicted probability of each class."),
    "counts": ("Objects an image: predicted over true", "Scatter plot beside the diagonal of equal counts."),
    "gallery_wrong": (
        "Wrong predictions, the most confident first",
        "A sheet of images, each with its true and predicted class.",
    ),
    "gradcam_wrong": (
        "Grad-CAM of wrong predictions: bright places speak for the predicted (middle) and the true class (right)",
        "A sheet of images, each beside two heat maps; a dark map means that no place speaks for the class.",
    ),
    "gradcam_right": (
        "Grad-CAM of right predictions: bright places speak for the class",
        "A sheet of images, each beside a heat map of its class.",
    ),
    "gallery_worst": (
        "Images with the most mistakes",
        "Photos with boxes coloured hit, false alarm or missed.",
    ),
    "gallery_right": ("Right predictions", "A sheet of images with their predicted classes."),
    "suspects": (
        "Labels to check: the number before each is its rank in label_issues.csv",
        "A sheet of images or crops of them, each with its label as annotated and as suggested.",
    ),
    "gallery": (
        "Predictions on images",
        "Photos with the true and the predicted boxes or classes, coloured by outcome.",
    ),
}


def of(path: Path) -> tuple[str, str]:
    """(caption, alternative text) of a figure file; made from its name where it is not known."""
    if path.stem in KNOWN:
        return KNOWN[path.stem]
    words = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "Figure"
    return words, f"Figure: {words}"


def place(path: Path) -> int:
    """Where a figure stands among others: in the order above, unknown ones last."""
    return list(KNOWN).index(path.stem) if path.stem in KNOWN else len(KNOWN)
