"""The pages of the app, made with Gradio."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from tropho.app.predict_photos import (
    COUNTS,
    Batch,
    Photo,
    has_heat_maps,
    name_photos,
    predict_batch,
    remove_batch,
    show_batch,
    show_photo,
    view_photo,
    without_place,
)
from tropho.app.review import Review
from tropho.commands.load_model import DEFAULT_THRESHOLD, WHITE_CELLS_PER_MICROLITRE, LoadedModel
from tropho.errors import DataError, TrophoError, UsageError

MAX_FILES = 200
"""Photos in a batch."""

GALLERY = 40
"""Pictures of a batch that are shown; all are in the archive."""

MAIN_PAGE = "Try the model"
REVIEW_WORDS = (
    "# Label issues\nLabels that the model contradicts, most probably wrong first. Look before you accept: the model "
    "may be wrong, and a weak model often is."
)


def build_app(model: LoadedModel, review: Review | None) -> gr.Blocks:
    """Build the pages: one photo, many photos, and on a second page the label issues.

    Args:
        model: predicts.
        review: label issues; None leaves out their page.
    """
    settings = model.settings
    app = gr.Blocks(title=f"Tropho: {settings.name}", analytics_enabled=False, delete_cache=(600, 3600))
    with app:
        gr.Navbar(main_page_name=MAIN_PAGE, visible=review is not None)
        gr.Markdown(f"# {settings.name}\n{settings.description}\n\n{_introduction(model)}")
        with gr.Tab("One photo"):
            _photo_tab(model)
        with gr.Tab("Many photos"):
            _batch_tab(model)
    if review is not None:
        with app.route("Label issues", "/label-issues"):
            _review_page(review, settings.audit.corrections)
    return app


def _introduction(model: LoadedModel) -> str:
    text = "For research and teaching; no medical device. Photos stay on this machine."
    if model.density({}) is None:
        return text
    return (
        f"{text} Parasites per microlitre are parasites per white cell times {WHITE_CELLS_PER_MICROLITRE:,}. That many "
        "white cells per microlitre are assumed of every patient; the true number can be half or twice that. A single "
        "photo has few white cells, so take many photos of a slide."
    )


def _thresholds_input(model: LoadedModel) -> tuple[gr.Checkbox, gr.Slider]:
    """Make the inputs that set the least score."""
    best = model.best_thresholds or {}
    known = ", ".join(f"{name} {value:.2f}" for name, value in best.items())
    use_best = gr.Checkbox(bool(best), label=f"Best thresholds of the evaluation ({known})", visible=bool(best))
    score = gr.Slider(0, 1, DEFAULT_THRESHOLD, step=0.01, label="Least confidence", elem_id="confidence")
    score.release(lambda: False, None, use_best, api_visibility="private")
    return use_best, score


def _photo_tab(model: LoadedModel) -> None:
    is_detection = model.is_detection
    with gr.Row():
        with gr.Column():
            photo: Any = gr.Image(sources=["upload", "webcam", "clipboard"], buttons=["fullscreen"], label="Photo")
            photo.preprocess = lambda upload: upload and upload.path  # Gradio's own fails at what is no image
            use_best, score = _thresholds_input(model)
        with gr.Column():
            picture = _picture("What was found", is_detection, elem_id="found")
            sentence = gr.Markdown(elem_id="sentence")
            look: dict[str, Any] = {"visible": is_detection, "label": "Counts", "elem_id": "counts"}
            counts = gr.Dataframe(headers=COUNTS, interactive=False, **look)
            label = gr.Label(label="Probabilities", visible=not is_detection)
            gr.Markdown("What speaks for this class (Grad-CAM):", visible=has_heat_maps(model))
            heat = _picture("What speaks for the most probable class", has_heat_maps(model))
    state = gr.State()

    def show(seen: Photo | None, *choice: Any) -> list[Any]:
        return (
            [None, "", None]
            if seen is None
            else list(show_photo(model, seen, model.thresholds(None if choice[0] else str(choice[1]))))
        )

    def view(file: str | None, *choice: Any) -> list[Any]:
        with _shown_errors(), _uploads([file] if file else []) as files:
            if not files:
                return [None, None, None, None, *show(None)]
            try:
                seen = view_photo(model, files[0])
            except DataError as error:
                return [None, None, None, None, None, without_place(error, files[0], files[0].name), None]
        return [seen.image, seen, seen.probabilities, seen.heat, *show(seen, *choice)]

    shown, choice = [picture, sentence, counts], [use_best, score]
    # The photo is replaced by its pixels alone, so that its EXIF data are gone.
    photo.input(view, [photo, *choice], [photo, state, label, heat, *shown], api_visibility="private")
    for event in (score.release, use_best.input):
        event(show, [state, *choice], shown, api_visibility="private", show_progress="hidden")


def _batch_tab(model: LoadedModel) -> None:
    photos = gr.File(file_count="multiple", file_types=["image"], label=f"Photos, at most {MAX_FILES}")
    use_best, score = _thresholds_input(model)
    start = gr.Button("Predict", variant="primary", elem_id="predict")
    summary = gr.Markdown(elem_id="batch")
    lines = gr.Dataframe(headers=["photo", "found"], interactive=False, label="Photos", elem_id="lines")
    title = f"Pictures (the first {GALLERY})"
    pictures = gr.Gallery(label=title, columns=3, object_fit="contain", interactive=False, buttons=["fullscreen"])
    results = gr.File(label="Tables and pictures", file_count="multiple", interactive=False)
    state = gr.State(delete_callback=remove_batch)

    def predict(uploaded: list[str] | None, before: Batch | None, *choice: Any) -> list[Any]:
        with _shown_errors(), _uploads(uploaded or []) as files:
            if len(files) > MAX_FILES or not (files or before):
                what = f"these are {len(files)}" if files else "there are none yet"
                return [None, before, f"Choose 1 to {MAX_FILES} photos; {what}.", *[gr.skip()] * 3]
            batch = before
            if files:
                batch = predict_batch(model, name_photos(files), Path(gr.utils.get_upload_folder()))
                remove_batch(before)
            assert batch is not None
            shown = show_batch(model, batch, "best" if choice[0] else str(choice[1]))
        gallery, downloads = ([str(file) for file in part] for part in (shown.pictures[:GALLERY], shown.files))
        said = f"{shown.summary} To apply another confidence to the same photos, change it and press *Predict* again."
        return [None, batch, said, shown.rows, gallery, downloads]

    outputs = [photos, state, summary, lines, pictures, results]
    start.click(predict, [photos, state, use_best, score], outputs, api_visibility="private")


def _review_page(review: Review, configured: str | None) -> None:
    gr.Navbar(main_page_name=MAIN_PAGE)
    gr.Markdown(REVIEW_WORDS)
    with gr.Row():
        picture = _picture("The annotated and the suggested box", elem_id="issue-picture")
        with gr.Column():
            sentence = gr.Markdown(elem_id="issue")
            with gr.Row():
                accept = gr.Button("Accept", variant="primary", elem_id="accept")
                reject = gr.Button("Reject", elem_id="reject")
                undo = gr.Button("Undo", elem_id="undo")
            progress = gr.Markdown(elem_id="progress")
    rank = gr.State()

    def show() -> list[Any]:
        left, said = review.open_issues(), review.progress(configured)
        if left.empty:
            none = "All label issues are decided." if len(review.issues) else "The models contradict no label."
            return [None, None, none, said, *_buttons(False)]
        first = int(left["rank"].iloc[0])
        try:
            image, text = review.picture(first)
        except DataError as error:
            text = f"{error} Without the picture the label can only be rejected."
            return [first, None, text, said, *_buttons(False, True)]
        return [first, image, text, said, *_buttons(True)]

    def decide(number: int | None, accepted: bool) -> list[Any]:
        with _shown_errors():
            if number is not None:
                review.decide(number, accepted)
        return show()

    def take_back() -> list[Any]:
        review.undo()
        return show()

    outputs = [rank, picture, sentence, progress, accept, reject]
    accept.click(lambda number: decide(number, True), rank, outputs, api_visibility="private")
    reject.click(lambda number: decide(number, False), rank, outputs, api_visibility="private")
    undo.click(take_back, None, outputs, api_visibility="private")
    page = gr.context.Context.root_block
    assert page is not None
    page.load(show, None, outputs, api_visibility="private")


def _picture(alt: str, visible: bool = True, elem_id: str | None = None) -> gr.Image:
    """Make an image that shows an array; it has no button that would upload it to a website."""
    look: dict[str, Any] = {"format": "png", "show_label": False, "buttons": ["download", "fullscreen"]}
    return gr.Image(interactive=False, alt_text=alt, visible=visible, elem_id=elem_id, **look)


def _buttons(accept: bool, reject: bool | None = None) -> list[Any]:
    return [gr.update(interactive=accept), gr.update(interactive=accept if reject is None else reject)]


@contextmanager
def _uploads(names: list[str]) -> Iterator[list[Path]]:
    """Yield uploaded files, and delete them at the end; refuse paths of other files."""
    folder = Path(gr.utils.get_upload_folder()).resolve()
    files = [Path(name).resolve() for name in names]
    if not all(file.is_relative_to(folder) for file in files):
        raise UsageError("This file was not uploaded.")
    try:
        yield files
    finally:
        for file in files:
            with suppress(OSError):
                file.unlink()


@contextmanager
def _shown_errors() -> Iterator[None]:
    """Show an expected error on the page."""
    try:
        yield
    except TrophoError as error:
        raise gr.Error(str(error), print_exception=False) from None
