"""Captions and alternative texts of the figures, by file name."""

from pathlib import Path

CAPTIONS = {
    "class_counts": ("Labels by class", "Bars of counts by class."),
    "objects_per_image": ("Objects in an image", "A histogram of the number of boxes in an image."),
    "image_sizes": ("Image sizes", "Width and height of the images, in pixels."),
    "box_sizes": ("Sizes of the boxes", "Histograms of the square root of the boxes' area, by class."),
    "same_slide_distances": (
        "Distances between pairs of images, and the threshold below which a pair counts as one slide",
        "A histogram of all pairs and one of pairs from different slides, with a line at the threshold.",
    ),
    "same_slide_groups": (
        "Some of the groups that count as slides: check that each row shows one slide",
        "Rows of images, one row a group.",
    ),
    "issues": ("Issues of the data, by kind", "Bars of counts by kind of issue."),
    "duplicates": ("Repeated images", "Pairs of images that show the same."),
    "previews": ("Images as resized (left) and augmented (right)", "A sheet of image pairs."),
    "history": ("Score of each trial", "Trial scores in order, and the best so far."),
    "settings": ("Score over each searched setting", "Scatter plots of the trials, one a setting."),
    "importance": ("Which settings matter", "Bars of the importance of each searched setting."),
    "learning_curves": (
        "Learning curves; the best epoch is marked",
        "Training loss, validation score and learning rate of each fold over the epochs.",
    ),
    "layer_stats": (
        "Statistics of each layer",
        "Gradient norms, deviation of outputs and inactive units by layer at the first, middle and last epoch.",
    ),
    "cv_vs_leaderboard": (
        "Leaderboard against cross-validation",
        "Public score over cross-validated score, one point a submission, and the line of equal scores.",
    ),
    "confusion": (
        "Confusion matrix: counts, and the share of each true class",
        "A grid of true classes (rows) by predicted classes (columns); right predictions lie on the diagonal.",
    ),
    "per_class": ("Precision, recall and F1 by class", "Three bars for each class, from 0 to 1."),
    "precision_recall": ("Precision over recall, by class", "One curve a class; areas in the legend."),
    "roc": ("ROC curve of each class against the rest", "True positive rate over false positive rate, by class."),
    "f_threshold": ("F-score over the threshold", "One curve a class; the chosen threshold is marked."),
    "f_confidence": ("F-score over the confidence, by class", "One curve a class; the chosen confidence is marked."),
    "recall_by_size": ("Recall by object size", "Bars of recall by object size and class."),
    "negative": ("Probability of the negative class, by truth", "Two histograms: images without and with objects."),
    "reliability": (
        "Reliability: how often the model is right at each confidence",
        "Accuracy over confidence, before and after temperature scaling, and the diagonal.",
    ),
    "scores": ("Scores by true class", "Histograms of the predicted probability of each class."),
    "counts": ("Objects per image: predicted over true", "A scatter plot and the diagonal of equal counts."),
    "gallery_wrong": (
        "Wrong predictions, most confident first",
        "A sheet of images, each with its true and predicted class.",
    ),
    "gradcam_wrong": (
        "Grad-CAM of wrong predictions: bright areas speak for the predicted (middle) and the true class (right)",
        "A sheet of images, each beside two heat maps; a dark map means that nothing speaks for the class.",
    ),
    "gradcam_right": (
        "Grad-CAM of right predictions: bright areas speak for the class",
        "A sheet of images, each beside a heat map of its class.",
    ),
    "gallery_worst": ("Images with the most mistakes", "Photos with boxes coloured by hit, false alarm or missed."),
    "gallery_right": ("Right predictions", "A sheet of images with their predicted classes."),
    "label_issues": (
        "Label issues: the number of each is its rank in label_issues.csv",
        "A sheet of images or crops, each with its annotated and its suggested label.",
    ),
    "gallery": (
        "Predictions on images",
        "Photos with the predicted boxes or classes, coloured by outcome.",
    ),
}


def caption(path: Path) -> tuple[str, str]:
    """Give the caption and the alternative text of a figure file, made from its name if it is unknown."""
    if path.stem in CAPTIONS:
        return CAPTIONS[path.stem]
    words = path.stem.replace("_", " ").replace("-", " ").strip().capitalize() or "Figure"
    return words, f"Figure: {words}"


def position(path: Path) -> int:
    """Place a figure among others: in the order above, unknown ones last."""
    return list(CAPTIONS).index(path.stem) if path.stem in CAPTIONS else len(CAPTIONS)
