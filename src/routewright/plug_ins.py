"""What installed packages bring: entry points, found by group and name. Reading what is installed takes its time."""

from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points

from routewright.errors import SettingsError


def find_plug_in(group: str, name: str, setting: str, built_in: Collection[str] = ()) -> EntryPoint:
    """The entry point of this name. Raises SettingsError, which names the setting, and says what there is."""
    what = group.rpartition(".")[2].removesuffix("s")
    installed = entry_points(group=group)
    found = {point.value: point for point in installed if point.name == name}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise SettingsError(
            f'{setting}: "{name}" is in several packages: {", ".join(sorted(found))}',
            hint="uninstall all but one of them",
        )
    known = ", ".join([*built_in, *sorted({point.name for point in installed} - set(built_in))]) or "none"
    raise SettingsError(
        f'{setting}: no {what} is called "{name}"; there are: {known}',
        hint=f"install the package that brings it; it has an entry point of the group {group}",
    )


def make_plug_in(point: EntryPoint, setting: str, *, hint: str) -> object:
    """What the entry point makes, called without arguments. Raises SettingsError."""
    try:
        return point.load()()
    except Exception as error:  # foreign code: what is wrong with it is for its author, and no traceback of ours
        raise SettingsError(
            f'{setting}: "{point.name}" ({point.value}) cannot be loaded: {type(error).__name__}: {error}', hint=hint
        ) from error
