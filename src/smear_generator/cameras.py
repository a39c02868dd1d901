"""The phones that took the photos: picture sizes in the competition's proportions, and how each one sees."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Camera:
    """A phone at an eyepiece."""

    width: int  # pixels
    height: int
    reach: tuple[float, float]  # radius of the round field, least and most, as a share of half the diagonal
    offset: float  # how far the field's middle strays from the picture's, as a share of the width
    tint: tuple[float, float, float]  # red, green, blue of its white balance
    blur: float  # pixels of Gaussian blur by its lens, in a picture 640 wide
    noise: float  # grey levels
    quality: tuple[int, int]  # JPEG quality, least and most
    labels_white_cells: bool


# The competition's 1920x1080.
VIDEO = Camera(
    width=640,
    height=360,
    reach=(0.62, 0.82),
    offset=0.05,
    tint=(1.0, 0.99, 0.97),
    blur=0.45,
    noise=3.0,
    quality=(84, 92),
    labels_white_cells=True,
)
# The competition's 4032x3016.
PHONE = Camera(
    width=806,
    height=603,
    reach=(0.80, 1.05),
    offset=0.07,
    tint=(1.02, 0.98, 0.90),
    blur=0.6,
    noise=2.2,
    quality=(86, 93),
    labels_white_cells=True,
)
# The competition's 4160x3120, where white cells were never labelled.
OTHER = Camera(
    width=832,
    height=624,
    reach=(0.60, 0.68),
    offset=0.02,
    tint=(0.94, 1.0, 1.05),
    blur=0.8,
    noise=3.6,
    quality=(80, 86),
    labels_white_cells=False,
)

# Camera of slide 0, 1, 2, ...: half are video, as in the competition, and a tenth have no white cell labels.
ROTA = (VIDEO, PHONE, VIDEO, OTHER, VIDEO, PHONE, VIDEO, PHONE, VIDEO, PHONE)
