"""A desk to try settings at: a home and a project folder of its own, and an environment without any keys."""

from collections.abc import Mapping
from pathlib import Path

from routewright.settings import Settings, load_settings


class Desk:
    """Where files are written and settings loaded from."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self.config = self.home / ".config" / "routewright"
        self.config.mkdir(parents=True, mode=0o700)
        self.project.mkdir()

    def write(self, text: str) -> None:
        """The project's settings."""
        (self.project / "routewright.toml").write_text(text, encoding="utf-8")

    def write_users(self, text: str) -> None:
        """The settings in the user's folder."""
        (self.config / "routewright.toml").write_text(text, encoding="utf-8")

    def load(
        self,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
        config: Path | None = None,
    ) -> Settings:
        """The settings of this desk."""
        return load_settings(
            environ={"HOME": str(self.home), **(environ or {})}, cwd=self.project, flags=flags, config=config
        )
