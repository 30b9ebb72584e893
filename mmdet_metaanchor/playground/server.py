"""Serving the page."""

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

try:
    import gradio as gr
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        'the playground needs gradio 6: pip install "gradio>=6"'
    ) from None

from .layout import CSS
from .page import Page
from .session import Session

# Those of the machine: nothing is fetched.
FONTS = dict(
    font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace']
)
LARGEST_FILE = '50mb'


def serve(
    session: Session,
    host: str = '127.0.0.1',
    port: int | None = None,
    wait: bool = True,
) -> gr.Blocks:
    """Serve a page until it is interrupted; never a shared link.

    Args:
        session (Session): The detector and its images.
        host (str): Address to listen on. Defaults to this machine only.
        port (int, optional): Defaults to the first free one from 7860.
        wait (bool): Whether to return only when interrupted. Else ``close``
            of what is returned ends it. Defaults to True.

    Raises:
        ValueError: Nothing can listen there.
    """
    _check_free(host, port or 0)
    folder = TemporaryDirectory()
    blocks = Page(session, Path(folder.name)).blocks
    blocks.folder = folder  # files to download, as long as they are served
    blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        theme=gr.themes.Default(**FONTS),
        css=CSS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=LARGEST_FILE,
    )
    print(f'{blocks.local_url} (Ctrl-C ends it)', flush=True)
    if wait:
        blocks.block_thread()
    return blocks


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise ValueError(
            f'nothing can listen on {host}, port {port}: {error}'
        ) from None
