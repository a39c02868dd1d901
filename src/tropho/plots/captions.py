"""Captions and alternative texts of the figures, by file name."""

from pathlib import Path

CAPTIONS = {
    "class_counts": ("Labels by class", "Bars of counts by class."),
    "objects_per_image": ("Objects in an image", "A histogram of the number of boxes in an image."),
    "image_sizes": ("Image sizes", "Width and height of the images, in pixels."),
    "box_sizes": ("Sizes of the boxes", "Histograms of the square root of the boxes' area, by class."),
    "same_slide_distances": ("Distances of image pairs, and the threshold for one slide", "Two histograms and a line."),
    "same_slide_groups": ("Groups that count as slides: check that each row is one slide", "Rows of images."),
    "issues": ("Issues of the data, by kind", "Bars of counts by kind of issue."),
    "duplicates": ("Repeated images", "Pairs of images that show the same."),
    "previews": ("Images as resized (left) and augmented (right)", "A sheet of image pairs."),
    "history": ("Score of each trial", "Trial scores in order, and the best so far."),
    "settings": ("Score over each searched setting", "Scatter plots of the trials, one a setting."),
    "importance": ("Which settings matter", "Bars of the importance of each searched setting."),
    "learning_curves": (
        "Learning curves; the best epoch is marked",
        "Training and validation loss, score and learning rate of each fold by epoch.",
    ),
    "layer_stats": (
        "Statistics of each layer",
        "Gradient norms, output deviations and inactive units at three epochs.",
    ),
    "cv_vs_leaderboard": ("Leaderboard against cross-validation", "Public scores over cross-validated ones."),
    "confusion": ("Confusion matrix: counts and shares of each true class", "True classes (rows) by predicted ones."),
    "per_class": ("Precision, recall and F1 by class", "Three bars for each class, from 0 to 1."),
    "precision_recall": ("Precision over recall, by class", "One curve a class; areas in the legend."),
    "roc": ("ROC curve of each class against the rest", "True positive rate over false positive rate, by class."),
    "f_threshold": ("F-score over the threshold", "One curve a class; the chosen threshold is marked."),
    "f_confidence": ("F-score over the confidence, by class", "One curve a class; the chosen confidence is marked."),
    "recall_by_size": ("Recall by object size", "Bars of recall by object size and class."),
    "negative": ("Probability of the negative class", "Two histograms: images without and with objects."),
    "reliability": ("Reliability: accuracy at each confidence", "Points and error bars beside the diagonal."),
    "scores": ("Scores by true class", "Histograms of the predicted probability of each class."),
    "counts": ("Objects per image: predicted over true", "A scatter plot and the diagonal of equal counts."),
    "gallery_wrong": ("Wrong predictions, most confident first", "Images with their predicted and true class."),
    "gradcam_wrong": ("Grad-CAM: what speaks for the predicted and for the true class", "Images, each with two maps."),
    "gradcam_right": ("Grad-CAM of right predictions: what speaks for the class", "Images, each with a heat map."),
    "gallery_worst": ("Images with the most mistakes", "Photos with boxes coloured by found, false alarm or missed."),
    "gallery_right": ("Right predictions", "A sheet of images with their predicted classes."),
    "label_issues": ("Label issues, numbered as in label_issues.csv", "Images with annotated and suggested labels."),
    "gallery": ("Predictions on images", "Photos with the predicted boxes or classes, coloured by outcome."),
}
"""File name without suffix -> caption and alternative text."""


def caption(path: Path) -> tuple[str, str]:
    """Give the caption and the alternative text of a figure file, made from its name if it is unknown."""
    if path.stem in CAPTIONS:
        return CAPTIONS[path.stem]
    words = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "Figure"
    return words, f"Figure: {words}"


def position(path: Path) -> int:
    """Place a figure among others: in the order above, unknown ones last."""
    return list(CAPTIONS).index(path.stem) if path.stem in CAPTIONS else len(CAPTIONS)
