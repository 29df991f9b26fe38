"""Where the entries of rows are made, and what was made of images is removed again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from harness.errors import EngineError
from harness.selftest import archives, docker_images, leftovers
from harness.selftest.build import BASE_IMAGE, Bench, Source, directory
from harness.selftest.row import Row
from harness.submission.load import ImageInfo
from harness.tournament.choose_sandbox import DockerHost, image_lookup

MAKERS: dict[str, Callable[[Row, Bench], Source]] = {
    "directory": directory, "archive": archives.archive, "metadata": archives.metadata, "tree": archives.tree,
    "image": docker_images.plain, "scratch": docker_images.scratch, "base": docker_images.base,
    "on_code_image": docker_images.on_code_image, "at_an_address": docker_images.at_an_address}


class Workshop:
    """Makes entries.

    Args:
        root: A directory for entries, to be made.
        planted: What hunters are told of the host.
        api: The Docker engine's client, None without Docker.

    Raises:
        EngineError: The base image is not there.
    """

    def __init__(self, root: Path, planted: Mapping[str, str], api: Any = None) -> None:  # noqa: ANN401 - untyped client
        root.mkdir()
        self._bench = Bench(root, planted, api, [])
        if api is not None:
            leftovers.remove_images(api)
        if api is not None and not api.images(BASE_IMAGE):
            problem = f"The image {BASE_IMAGE}, in which the rows run, is not on this host."
            raise EngineError(problem, "Build it with scripts/images.sh.")

    def make(self, row: Row) -> Source:
        """The entry of a row."""
        return MAKERS[row.build](row, self._bench)

    @cached_property
    def image_info(self) -> Callable[[str], ImageInfo] | None:
        """Looks images up."""
        return image_lookup(DockerHost()) if self._bench.api is not None else None

    def remove_images(self) -> list[str]:
        """Remove the images that were made; those that stay."""
        for image in list(self._bench.images):
            with contextlib.suppress(APIError):
                # One that nobody names goes together with the last image made from it.
                with contextlib.suppress(NotFound):
                    self._bench.api.remove_image(image, force=True)
                self._bench.images.remove(image)
        return list(self._bench.images)
