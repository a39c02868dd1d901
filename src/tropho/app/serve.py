"""Serve the app on this machine until it is stopped."""

import os
import tempfile
from pathlib import Path
from typing import Any

from tropho.commands.load_model import LoadedModel, load_model
from tropho.errors import DataError, ExternalError, UsageError
from tropho.log import info

MAX_FILE_SIZE = "100mb"
LOOPBACK = ("127.0.0.1", "localhost")
SESSIONS = 20
"""Browser pages whose photo is remembered."""


def run_app(task: str, root: Path, exported: bool, host: str, port: int | None) -> None:
    """Serve the app and block until Ctrl-C.

    Args:
        task: name of a task; for exported models also the path of their folder.
        root: of the repository.
        exported: use exported models, without torch.
        host: address that the server listens to.
        port: of the server; None takes a free one from 7860 on.

    Raises:
        UsageError: Gradio is not installed, or as in `load_model`.
        DataError: as in `load_model`.
        ExternalError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="tropho-app-", ignore_cleanup_errors=True) as folder:
        app, url = start_app(load_model(task, root, exported), Path(folder), host, port)
        info(f"The app is at {url}; stop it with Ctrl-C.")
        app.block_thread()


def start_app(model: LoadedModel, folder: Path, host: str, port: int | None) -> tuple[Any, str]:
    """Start the server in a thread; return Gradio's app and the address. Uploads and results go to `folder`."""
    # Gradio reads these when it is imported: it sends no statistics, and writes to no other folder.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
    try:
        import gradio as gr
    except ImportError:
        raise UsageError("The app needs Gradio, which is not installed; `make setup` installs it.") from None
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from tropho.app.pages import build_app
    from tropho.app.review import load_review

    try:
        review = load_review(model.settings, model.paths)
    except DataError:  # the task's data are not here
        review = None
    app = build_app(model, review)
    try:
        _, url, _ = app.launch(
            server_name=host,
            server_port=port,
            # Fonts of the system, none from the internet.
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            max_file_size=MAX_FILE_SIZE,
            state_session_capacity=SESSIONS,
            prevent_thread_lock=True,
            share=False,
            ssr_mode=False,
            quiet=True,
            footer_links=[],
            # Requests under another name than this machine's are refused, so that a website can send none.
            app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))]}
            if host in LOOPBACK
            else {},
        )
    except OSError:
        raise ExternalError(_in_use(host, port)) from None
    return app, url


def _in_use(host: str, port: int | None) -> str:
    """Say that the server can't listen, and which port may be free."""
    if port is None:
        return (
            f"The app can't listen on {host}: no port from 7860 to 7959 is free, or this machine has no such address."
        )
    other = 7861 if port == 7860 else 7860
    return (
        f"The app can't listen on port {port} of {host}, since another program uses it, or this machine has no such "
        f"address; try --port {other}, or leave --port out to take a free one."
    )
