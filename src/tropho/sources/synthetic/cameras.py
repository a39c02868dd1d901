"""The phones that took the photos: picture sizes in the proportions of the competition, and how each one sees."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Camera:
    """A phone at an eyepiece."""

    name: str
    width: int  # pixels
    height: int
    reach: tuple[float, float]  # radius of the round field, least and most, as a share of half the diagonal
    offset: float  # how far the field's middle strays from the picture's, as a share of the width
    tint: tuple[float, float, float]  # red, green, blue of its white balance
    blur: float  # pixels of Gaussian blur by its lens
    noise: float  # grey levels
    quality: tuple[int, int]  # JPEG quality, least and most
    labels_white_cells: bool


VIDEO = Camera("video", 640, 360, (0.62, 0.82), 0.05, (1.0, 0.99, 0.97), 0.45, 3.0, (84, 92), True)  # 1920x1080
PHONE = Camera("phone", 806, 603, (0.80, 1.05), 0.07, (1.02, 0.98, 0.90), 0.6, 2.2, (86, 93), True)  # 4032x3016
OTHER = Camera("other", 832, 624, (0.60, 0.68), 0.02, (0.94, 1.0, 1.05), 0.8, 3.6, (80, 86), False)  # 4160x3120

# Camera of slide 0, 1, 2, ...: half video, as in the competition; a fifth from the phone without white cell labels.
ROTA = (VIDEO, PHONE, VIDEO, OTHER, VIDEO, PHONE, VIDEO, PHONE, VIDEO, OTHER)
